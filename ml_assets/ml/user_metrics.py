"""Metrics that a project brings itself: functions of outcomes and answers."""

import math
from collections.abc import Sequence

import numpy as np

from ml_assets.core.user_code import UserCodeError, load
from ml_assets.ml.tasks.task import Floats, Outcomes


class UserMetricError(ValueError):
    """A metric of the project's own that cannot be computed."""


def user_metrics(
    paths: Sequence[str], y: Outcomes, answers: Floats
) -> dict[str, float]:
    """The value of each function by its name; NaN where it is no finite number.

    Parameters
    ----------
    paths : sequence of str
        Import paths of functions, which have to be trusted. Each is called with `y` and
        `answers` and returns a number.
    y : ndarray of shape (n_rows,)
        What was observed: 1 and 0 for the positive class and the other one, the number
        of the class from 0, or the value.
    answers : ndarray of shape (n_rows,) or (n_rows, n_classes)
        The probability of the positive class, of each class, or the predicted value.

    Raises
    ------
    UserMetricError
        If a function cannot be imported, fails, or returns no number.
    """
    found = {}
    for path in paths:
        try:
            # Each gets a copy: the platform's own figures are of the same arrays.
            value = load(path)(y.copy(), answers.copy())
        except UserCodeError as error:
            raise UserMetricError(f"metrics: {error}") from error
        except Exception as error:  # whatever the project's code raises
            raise UserMetricError(f"metrics: {path} fails: {error!r}") from error
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise UserMetricError(
                f"metrics: {path} returned {value!r}, expected a number"
            ) from error
        found[path.rpartition(".")[2]] = number if math.isfinite(number) else math.nan
    return found


def best_constant(path: str, y: Outcomes, constants: Floats, lower: bool) -> float:
    """The best value of a function over constant answers; NaN where none has one.

    Parameters
    ----------
    path : str
        Import path of the function, as in `user_metrics`.
    constants : ndarray of shape (n_constants,) or (n_constants, n_classes)
        Answers to one row each, which are repeated for every row of `y`.
    lower : bool
        Whether a lower value is better.

    Raises
    ------
    UserMetricError
        As `user_metrics` does.
    """
    values = [
        value
        for constant in constants
        for value in user_metrics([path], y, np.array([constant] * len(y))).values()
        if not math.isnan(value)
    ]
    return (min if lower else max)(values, default=math.nan)
