"""What the libraries themselves refuse in a model's YAML, before any data is read.

`ml_assets.spec.validators` knows the names of parameters. Their values are judged by
scikit-learn and Great Expectations, whose imports take seconds.
"""

from collections.abc import Iterator
from typing import Any

from ml_assets.core.user_code import UserCodeError, load
from ml_assets.spec.base import Fault, Location
from ml_assets.spec.metrics import Kind
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.model_file import faults as faults_of_form
from ml_assets.spec.model_file import has_template, spec_of


def faults(spec: ModelSpec) -> Iterator[Fault]:
    """What the libraries and the project's code refuse, by its path in the YAML."""
    from ml_assets.ml.estimators import EstimatorError, make_estimator
    from ml_assets.spec.expectations import ExpectationError, build

    try:
        make_estimator(spec.estimator, spec.task)
    except EstimatorError as error:
        yield ("estimator",), str(error)
    yield from _own_faults(spec)
    for position, item in enumerate(spec.expect):
        try:
            build(item)
        except ExpectationError as error:
            yield ("expect", position, next(iter(item))), str(error)


def _own_faults(spec: ModelSpec) -> Iterator[Fault]:
    """What of the project's code cannot be imported, or is not what it should be."""
    functions: list[tuple[Location, str]] = [
        (("metrics", number), path) for number, path in enumerate(spec.metrics)
    ]
    if spec.source.function is not None:
        functions.append((("source", "function"), spec.source.function))
    for location, path in functions:
        try:
            load(path)
        except UserCodeError as error:
            yield location, str(error)
    if spec.features.transform is not None:
        from ml_assets.ml.cleaning import FeatureError
        from ml_assets.ml.user_transform import user_transform

        try:
            user_transform(spec.features.transform)
        except FeatureError as error:
            yield ("features", "transform"), str(error)


def thorough_faults(attributes: Any, kind: Kind) -> list[Fault]:
    """What is wrong with attributes as written; if nothing, what the libraries refuse.

    See `ml_assets.spec.model_file.faults` for what a template leaves open.
    """
    found = faults_of_form(attributes, kind)
    if found or has_template(attributes):
        return found
    return list(faults(spec_of(attributes, kind)))
