"""What the libraries themselves say of a model's YAML, before any data is read.

`ml_assets.meaning` knows the names; the values of parameters are judged by who takes
them. That imports scikit-learn and Great Expectations, which takes seconds.
"""

from collections.abc import Iterator

from ml_assets.meaning import Fault
from ml_assets.model import ModelSpec


def faults(spec: ModelSpec) -> Iterator[Fault]:
    """What scikit-learn and Great Expectations refuse, at its place in the YAML."""
    from ml_assets.ml.estimators import EstimatorError, make_estimator
    from ml_assets.quality.definition import ExpectationError, build

    try:
        make_estimator(spec.estimator)
    except EstimatorError as error:
        yield ("estimator",), str(error)
    for position, item in enumerate(spec.expect):
        try:
            build(item)
        except ExpectationError as error:
            yield ("expect", position, next(iter(item))), str(error)
