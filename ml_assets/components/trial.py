"""What the libraries themselves refuse in a model's YAML, before any data is read.

`ml_assets.spec.validators` knows the names of parameters. Their values are judged by
scikit-learn and Great Expectations, whose imports take seconds.
"""

from collections.abc import Iterator
from typing import Any

from ml_assets.spec.base import Fault
from ml_assets.spec.metrics import Kind
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.model_file import faults as faults_of_form
from ml_assets.spec.model_file import has_template, spec_of


def faults(spec: ModelSpec) -> Iterator[Fault]:
    """What scikit-learn and Great Expectations refuse, by its path in the YAML."""
    from ml_assets.ml.estimators import EstimatorError, make_estimator
    from ml_assets.spec.expectations import ExpectationError, build

    try:
        make_estimator(spec.estimator, spec.task)
    except EstimatorError as error:
        yield ("estimator",), str(error)
    for position, item in enumerate(spec.expect):
        try:
            build(item)
        except ExpectationError as error:
            yield ("expect", position, next(iter(item))), str(error)


def thorough_faults(attributes: Any, kind: Kind) -> list[Fault]:
    """What is wrong with attributes as written; if nothing, what the libraries refuse.

    See `ml_assets.spec.model_file.faults` for what a template leaves open.
    """
    found = faults_of_form(attributes, kind)
    if found or has_template(attributes):
        return found
    return list(faults(spec_of(attributes, kind)))
