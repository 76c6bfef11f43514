"""From the sums of a model to its answer, bit for bit as its library has it.

Of scikit-learn, each is the same numpy operation on an array of the same layout, so
that no bit differs: a sum over the classes is added up in another order where the
classes are contiguous. What XGBoost and CatBoost do otherwise is in `exponentials`.
"""

from collections.abc import Callable
from math import exp
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Task
from ml_assets.serving.runtime.exponentials import (
    exp_by_libm,
    exp_by_table,
    expf,
    logistic_single,
    logistics_single,
    softmax_by_libm,
    softmax_by_table,
    softmax_single,
)
from ml_assets.serving.runtime.program import LinkName, Program, check

Floats = NDArray[np.float64]

LINKS: dict[Task, tuple[LinkName, ...]] = {
    "binary": ("logit", "mean", "logit_single"),
    "multiclass": (
        *("softmax", "shares", "mean"),
        *("softmax_single", "softmax_by_table", "logits"),
        *("softmax_by_libm", "softmax_by_rows"),
    ),
    "regression": (
        *("identity", "exp", "mean"),
        *("exp_single", "exp_by_table", "exp_by_libm"),
    ),
}


class Link(Protocol):
    """Turns sums into answers."""

    def one(self, total: Any) -> Any:
        """The answer for the sum of one row: a number, or an array of shape (k,)."""
        ...

    def many(self, totals: Floats) -> Floats:
        """The answers for the sums of n rows, of shape (n,) or (n, k)."""
        ...


def link_of(program: Program) -> Link:
    """The link that a program names."""
    if program.outputs > 1:
        return _ClassLink(program)
    if program.link in _VALUES:
        return _ValueLink(_VALUES[program.link])
    if program.link == "logit_single":
        check(not program.complement, "logit_single has no complement")
        return _SingleLink()
    if program.link == "logit" and program.slope == 1 and not program.complement:
        return _LogisticLink()
    return _ProbabilityLink(program)


def logistic(value: float) -> float:
    """``1 / (1 + exp(-value))`` with the exponential of the C library, as scipy has it.

    numpy's own exponential is vectorised and may differ in the last bit.
    """
    try:
        return 1.0 / (1.0 + exp(-value))
    except OverflowError:
        return 0.0


def logistics(values: Floats) -> Floats:
    """`logistic` of each value."""
    try:
        powers = np.fromiter(map(exp, (-values).tolist()), np.float64, len(values))
    except OverflowError:
        return np.array([logistic(value) for value in values.tolist()])
    return 1.0 / (1.0 + powers)


def _logistics_of_table(totals: Floats) -> Floats:
    """`logistic` of each value of a table."""
    return logistics(totals.ravel()).reshape(totals.shape)


class _LogisticLink:
    """``logit`` and nothing else, of most models."""

    one = staticmethod(logistic)
    many = staticmethod(logistics)


class _ProbabilityLink:
    """``logit`` or ``mean``, and the complement of it."""

    def __init__(self, program: Program) -> None:
        self._is_logit = program.link == "logit"
        self._slope = program.slope
        self._count = float(program.count)
        self._is_complement = program.complement

    def one(self, total: float) -> float:
        if self._is_logit:
            found = logistic(self._slope * total)
        else:
            found = total / self._count
        return 1.0 - found if self._is_complement else found

    def many(self, totals: Floats) -> Floats:
        if self._is_logit:
            found = logistics(self._slope * totals)
        else:
            found = totals / self._count
        return 1.0 - found if self._is_complement else found


class _SingleLink:
    """``logit_single``."""

    def one(self, total: float) -> float:
        return logistic_single(total)

    def many(self, totals: NDArray[Any]) -> Floats:
        return logistics_single(totals.astype(np.float32)).astype(np.float64)


_VALUES: dict[LinkName, Callable[[Any], Any]] = {
    "identity": lambda totals: totals,
    "exp": np.exp,
    "exp_single": lambda totals: expf(totals.astype(np.float32)),
    "exp_by_table": exp_by_table,
    "exp_by_libm": exp_by_libm,
}


class _ValueLink:
    """One of `_VALUES`, of numbers that may be any."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def one(self, total: float) -> float:
        return float(self.many(np.array([total]))[0])

    def many(self, totals: NDArray[Any]) -> Floats:
        with np.errstate(over="ignore"):
            found: Floats = np.asarray(self._function(totals), dtype=np.float64)
        return found


class _ClassLink:
    """A link over the classes of each row."""

    def __init__(self, program: Program) -> None:
        functions: dict[LinkName, Callable[[Any], NDArray[Any]]] = {
            "identity": lambda totals: totals,
            "softmax": softmax,
            "shares": shares,
            "mean": lambda totals: totals / float(program.count),
            "softmax_single": softmax_single,
            "softmax_by_table": softmax_by_table,
            "softmax_by_libm": softmax_by_libm,
            "softmax_by_rows": lambda totals: softmax(np.ascontiguousarray(totals)),
            "logits": lambda totals: _logistics_of_table(program.slope * totals),
        }
        check(
            program.link in functions, f"{program.link} is no link of several classes"
        )
        self._function = functions[program.link]
        self._order = program.order or None
        outputs = [*range(program.outputs)]
        check(sorted(program.order or outputs) == outputs, "order is no permutation")

    def one(self, total: Floats) -> Floats:
        found: Floats = self.many(total.reshape(1, -1))[0]
        return found

    def many(self, totals: Floats) -> Floats:
        found = np.asarray(self._function(totals), dtype=np.float64)
        return found if self._order is None else found[:, self._order]


def softmax(totals: Floats) -> Floats:
    """The exponentials of each row as parts of one, by numpy's own exponential.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0, 1e4]])).tolist()
    [[0.0, 0.0, 1.0]]
    """
    found = totals.copy(order="K")
    with np.errstate(all="ignore"):
        found -= found.max(axis=1).reshape(-1, 1)
        np.exp(found, out=found)
        found /= found.sum(axis=1).reshape(-1, 1)
    return found


def shares(totals: Floats) -> Floats:
    """The logistic function of each class as a part of their sum: one against the rest.

    Examples
    --------
    >>> shares(np.array([[0.0, 0.0], [-1e4, -1e4]])).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    found = _logistics_of_table(totals)
    whole = found.sum(axis=1)
    is_zero = whole == 0
    if is_zero.any():
        found[is_zero] = 1.0
        whole[is_zero] = found[0].size
    found /= whole.reshape(-1, 1)
    return found
