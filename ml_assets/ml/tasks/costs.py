"""Costs of wrong decisions on a binary target, and the threshold of least cost.

A false alarm costs the same in each row. A missed positive costs ``false_negative``
and, where the costs have an amount, the row's amount beside it (Elkan, 2001, The
foundations of cost-sensitive learning). Right decisions cost nothing.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.cleaning import FeatureError
from ml_assets.spec.decision import DecisionSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """What wrong decisions cost, in the unit of the YAML.

    Parameters
    ----------
    false_positive, false_negative : float
    amount : str, optional
        The column whose value a missed positive costs beside ``false_negative``.
    bound : float
        Larger amounts count as it. Missing and negative ones count as 0.
    amounts : ndarray of shape (n_rows,), optional
        Those of the rows at hand: see `with_rows`.
    """

    false_positive: float
    false_negative: float
    amount: str | None = None
    bound: float = 0.0
    amounts: Floats | None = field(default=None, compare=False, repr=False)

    @property
    def largest(self) -> float:
        """The largest possible cost of a row."""
        return max(self.false_positive, self.false_negative + self.bound)

    def with_rows(self, rows: pd.DataFrame) -> "Costs":
        """The same with the amounts of some rows.

        Raises
        ------
        FeatureError
            If they do not have the column, or it does not hold numbers.
        """
        if self.amount is None:
            return self
        if self.amount not in rows.columns:
            raise FeatureError(
                f"decision.amount is '{self.amount}', which is none of the columns"
                f" {', '.join(map(str, rows.columns))}"
            )
        try:
            found = pd.to_numeric(rows[self.amount]).to_numpy("float64", na_value=0.0)
        except (TypeError, ValueError) as error:
            raise FeatureError(
                f"decision.amount: the column '{self.amount}' must hold numbers, found"
                f" the type {rows[self.amount].dtype}"
            ) from error
        return replace(self, amounts=np.clip(found, 0.0, self.bound))

    def missed(self, rows: int) -> Floats:
        """What each of so many rows costs as a missed positive, of shape (rows,).

        Raises
        ------
        ValueError
            If the costs have an amount and not that of these rows.
        """
        base = np.full(rows, self.false_negative)
        if self.amount is None:
            return base
        if self.amounts is None or len(self.amounts) != rows:
            known = 0 if self.amounts is None else len(self.amounts)
            raise ValueError(
                f"the costs need '{self.amount}' of {rows:,} rows, found {known:,}"
            )
        return np.asarray(base + self.amounts)

    def of(self, y: NDArray[Any], decided: NDArray[Any]) -> Floats:
        """The cost of the decision on each row, of shape (n_rows,).

        Parameters
        ----------
        y, decided : ndarray of shape (n_rows,)
            The truth and the decision as 0 and 1.

        Examples
        --------
        >>> costs = Costs(5, 400)
        >>> costs.of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).tolist()
        [0.0, 5.0, 400.0, 0.0]
        """
        false_alarm = (decided == 1) & (y == 0)
        missed = (decided == 0) & (y == 1)
        alarms = float(self.false_positive) * false_alarm
        return np.asarray(alarms + self.missed(len(y)) * missed)

    def best_constant(self, y: NDArray[Any]) -> Floats:
        """The cost of each row under the constant decision that costs least."""
        never, always = (self.of(y, np.full(len(y), constant)) for constant in (0, 1))
        return always if always.sum() < never.sum() else never


def costs_of(decision: DecisionSpec | None) -> Costs | None:
    """The costs that a YAML gives, if it gives some."""
    if decision is None or decision.costs is None:
        return None
    given = decision.costs
    bound = decision.amount_bound or 0.0
    return Costs(given.false_positive, given.false_negative, decision.amount, bound)


def mean_costs(y: NDArray[Any], p: Floats, costs: Costs, thresholds: Floats) -> Floats:
    """The mean cost of a row at each of some thresholds, of their shape.

    Parameters
    ----------
    y, p : ndarray of shape (n_rows,)
        The truth as 0 and 1, and the probability of 1. A row is decided to be 1 above a
        threshold.
    costs : Costs
        With the amounts of these rows, where it has some.
    """
    order = np.argsort(p, kind="stable")
    missed = np.where(y == 1, costs.missed(len(y)), 0.0)[order].cumsum()
    alarms = np.where(y == 0, costs.false_positive, 0.0)[order].cumsum()
    negative = np.searchsorted(p[order], thresholds, side="right")
    missed, alarms = np.append(0.0, missed), np.append(0.0, alarms)
    return np.asarray((missed[negative] + alarms[-1] - alarms[negative]) / len(y))


def least_cost_threshold(y: NDArray[Any], p: Floats, costs: Costs) -> float:
    """The threshold of the least mean cost, between two of the probabilities.

    Of several that cost the same it is the lowest. Below the least and above the
    greatest probability it is between that one and 0 or 1.

    Parameters
    ----------
    y, p, costs
        See `mean_costs`; probabilities of rows that the model was not fitted on.

    Examples
    --------
    >>> y, p = np.array([0, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.4, 0.6, 0.8])
    >>> [round(least_cost_threshold(y, p, Costs(*c)), 2) for c in ((1, 10), (3, 2))]
    [0.3, 0.7]
    """
    edges = np.concatenate([[0.0], np.unique(p), [1.0]])
    between = (edges[:-1] + edges[1:]) / 2
    between = between[(between > 0) & (between < 1)]
    return float(between[np.argmin(mean_costs(y, p, costs, between))])
