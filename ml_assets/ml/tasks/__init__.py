"""Tasks: binary, multiclass and regression, each behind `Task`.

What is predicted is found in the target by `encode_target`, fixed by the first training
(`ml_assets.state.pinned`), and read back from a version's signature by `task_of`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ml_assets.ml.tasks.binary import Binary, binary_of
from ml_assets.ml.tasks.costs import Costs
from ml_assets.ml.tasks.labels import joined, spelling
from ml_assets.ml.tasks.multiclass import Multiclass, multiclass_of
from ml_assets.ml.tasks.regression import Regression
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes, Task
from ml_assets.records.plan import Label, Signature
from ml_assets.spec.metrics import Kind

__all__ = [
    "Binary",
    "Evaluation",
    "Multiclass",
    "OtherTaskError",
    "Outcomes",
    "Regression",
    "Target",
    "Task",
    "deciding_as",
    "encode_target",
    "find_task",
    "in_classes_of",
    "task_of",
]


class OtherTaskError(ValueError):
    """Answers of a version that predicts something else."""


class Target(NamedTuple):
    """The target of some rows as estimators take it, and what is predicted."""

    y: Outcomes
    task: Task


def encode_target(
    column: "pd.Series[Any]",
    positive: Label | None = None,
    pinned: Task | None = None,
    kind: Kind = "classification",
    classes: Sequence[Label] | None = None,
) -> Target:
    """The target as numbers, and the task: see `find_task`.

    Examples
    --------
    >>> found = encode_target(pd.Series(["no", "yes", "no"]))
    >>> found.y.tolist(), found.task.name
    ([0, 1, 0], 'binary')
    >>> encode_target(pd.Series([2, 1, 3])).task.labels
    (1, 2, 3)
    """
    task = find_task(column, positive, pinned, kind, classes)
    return Target(task.encode(column), task)


def find_task(
    column: "pd.Series[Any]",
    positive: Label | None = None,
    pinned: Task | None = None,
    kind: Kind = "classification",
    classes: Sequence[Label] | None = None,
) -> Task:
    """What is predicted of a target.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        The target, none missing.
    positive : str, int, float or bool, optional
        The positive one of two classes.
    pinned : Task, optional
        That of the model's first training, which stays.
    kind : {'classification', 'regression'}
        What the component predicts.
    classes : sequence, optional
        Three or more classes, in the order of answers.

    Raises
    ------
    FeatureError
        If the values are not those of the task.
    """
    if kind == "regression":
        return Regression()
    if classes is not None or (isinstance(pinned, Multiclass) and positive is None):
        known = pinned if isinstance(pinned, Multiclass) else None
        return multiclass_of(column, classes, known)
    if isinstance(pinned, Binary) or positive is not None:
        return binary_of(
            column, positive, pinned if isinstance(pinned, Binary) else None
        )
    if column.nunique() > 2:
        return multiclass_of(column)
    return binary_of(column)


def task_of(
    signature: Signature, quantile: float = 0.5, costs: Costs | None = None
) -> Task:
    """What the version of a signature predicts.

    Parameters
    ----------
    quantile : float
        That a regressor predicts.
    costs : Costs, optional
        Of the decisions on a binary target.
    """
    if signature.task == "regression":
        return Regression(quantile, interval=signature.interval)
    if signature.task == "multiclass":
        return Multiclass(signature.classes)
    negative, positive = signature.labels
    return Binary(negative, positive, signature.threshold, costs)


def deciding_as(task: Task, other: Task) -> Task:
    """`task` with the threshold of a version of `other`, for answers in its classes.

    Of a regression it has the interval.

    Examples
    --------
    >>> deciding_as(Binary("no", "yes"), Binary("yes", "no", 0.25)).threshold
    0.75
    """
    if isinstance(task, Regression) and isinstance(other, Regression):
        return replace(task, interval=other.interval)
    if not isinstance(task, Binary) or not isinstance(other, Binary):
        return task
    is_same = spelling(task.positive) == spelling(other.positive)
    return replace(task, threshold=other.threshold if is_same else 1 - other.threshold)


def in_classes_of(task: Task, other: Task, answers: Floats) -> Floats:
    """Answers of a version of `other` in the order of the classes of `task`.

    Raises
    ------
    OtherTaskError
        If it predicts something else, or has other classes.

    Examples
    --------
    >>> in_classes_of(Binary("no", "yes"), Binary("yes", "no"), np.array([0.25]))
    array([0.75])
    """
    if task.name != other.name:
        raise OtherTaskError(f"its task is {other.name}, not {task.name}")
    now, then = ([*map(spelling, item.labels)] for item in (task, other))
    if {*now} != {*then}:
        raise OtherTaskError(f"it tells {joined(other.labels)} apart")
    if now == then:
        return answers
    if answers.ndim == 1:
        return np.asarray(1 - answers)
    return answers[:, [then.index(label) for label in now]]
