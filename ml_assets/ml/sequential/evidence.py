"""What every comparison of two arms keeps: two one-sided e-values and the decision."""

import math
from typing import Any, Literal, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

Side = Literal["promote", "roll_back"]


class Trace(NamedTuple):
    """Log e-values after each of n labels, each of shape (n,), for a plot."""

    better: NDArray[np.float64]
    worse: NDArray[np.float64]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """State of a comparison; JSON by `msgspec.json`, and the same after a restart.

    Parameters
    ----------
    alpha : float
        Chance that a challenger that is not better is ever promoted, and separately
        that one that is not worse is ever rolled back. It is fixed when the comparison
        starts.
    n : int
        Labels seen.
    log_better, log_worse : float
        Log e-values now, against "not better" and against "not worse".
    decided : {'promote', 'roll_back'}, optional
        What the first e-value to reach ``1 / alpha`` decided; later labels are counted
        and do not change it.
    decided_at : int, optional
        Number of the label that decided.
    """

    alpha: float = 0.05
    n: int = 0
    log_better: float = 0.0
    log_worse: float = 0.0
    decided: Side | None = None
    decided_at: int | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha)

    @property
    def threshold(self) -> float:
        """What a log e-value must reach to decide."""
        return -math.log(self.alpha)

    @property
    def finished(self) -> bool:
        """Whether no later label can decide."""
        return False

    def describe(self) -> str:
        """The figures in words."""
        raise NotImplementedError

    def _after(self, trace: Trace, **changes: Any) -> Self:
        """The state after the labels of `trace`; without labels, this very state."""
        added = len(trace.better)
        if not added:
            return self
        decided, decided_at = self.decided, self.decided_at
        if decided is None:
            highest = np.maximum(trace.better, trace.worse)
            reached = np.flatnonzero(highest >= self.threshold)
            if len(reached):
                first = int(reached[0])
                is_better = trace.better[first] >= trace.worse[first]
                decided = "promote" if is_better else "roll_back"
                decided_at = self.n + first + 1
        return msgspec.structs.replace(
            self,
            n=self.n + added,
            log_better=float(trace.better[-1]),
            log_worse=float(trace.worse[-1]),
            decided=decided,
            decided_at=decided_at,
            **changes,
        )


def check_alpha(alpha: float) -> None:
    """Refuse an error probability that is none.

    Raises
    ------
    ValueError
        If `alpha` is not above 0 and below 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be above 0 and below 1, found {alpha}")


def as_flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """`values` as booleans of shape (n,); one value counts as n = 1.

    Raises
    ------
    ValueError
        If a value is neither true nor false (nor 1 nor 0).
    """
    given = np.atleast_1d(np.asarray(values))
    if given.size == 0:
        return np.zeros(0, dtype=bool)
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise ValueError(f"{name} must hold true or false, found {given.dtype} values")
    return given.astype(bool)


def same_length(**flags: NDArray[Any]) -> None:
    """Refuse columns of different length.

    Raises
    ------
    ValueError
        Naming each length.
    """
    lengths = {name: len(values) for name, values in flags.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise ValueError(f"expected one value for each label, found {found}")
