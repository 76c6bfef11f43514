"""Live performance: what joined labels say about a version, day by day."""

import math
from typing import Any

import msgspec
import pandas as pd

from ml_assets.ml.intervals import wilson
from ml_assets.ml.performance_auc import auc_interval


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one version on one day; None where they cannot be had.

    ``day`` is None for all days together. Intervals are two-sided: Wilson's for
    accuracy, DeLong's for AUC.
    """

    version: str
    day: str | None
    n: int
    positives: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None


def by_day(joined: pd.DataFrame, confidence: float = 0.95) -> list[Period]:
    """Accuracy and AUC of each version on each day, and on all days.

    Parameters
    ----------
    joined : DataFrame of shape (n_labels, ...)
        Columns ``version``, ``day``, ``probability`` (of the positive class),
        ``predicted`` and ``label`` (booleans, or 0 and 1).
    confidence : float
        Of each interval.

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> joined = pd.DataFrame({
    ...     "version": "20261123T020000Z", "day": "2026-11-23",
    ...     "probability": [0.9, 0.2, 0.7, 0.4], "predicted": [1, 0, 1, 0],
    ...     "label": [1, 0, 0, 0],
    ... })
    >>> period = by_day(joined)[0]
    >>> period.day, period.n, period.accuracy, period.auc
    ('2026-11-23', 4, 0.75, 1.0)
    """
    needed = ["version", "day", "probability", "predicted", "label"]
    absent = [name for name in needed if name not in joined.columns]
    if absent:
        raise KeyError(
            f"joined labels lack the column '{absent[0]}';"
            f" they have {', '.join(map(str, joined.columns))}"
        )
    periods = []
    for version, rows in joined.groupby("version", sort=True, observed=True):
        days = rows.groupby("day", sort=True, observed=True)
        periods += [
            _period(str(version), str(day), group, confidence) for day, group in days
        ]
        periods.append(_period(str(version), None, rows, confidence))
    return periods


def _period(
    version: str, day: str | None, rows: pd.DataFrame, confidence: float
) -> Period:
    label = rows["label"].to_numpy(dtype=bool)
    right = rows["predicted"].to_numpy(dtype=bool) == label
    accuracy = float(right.mean()) if len(right) else math.nan
    probability = rows["probability"].to_numpy(dtype=np.float64)
    auc = auc_interval(probability, label, confidence)
    return Period(
        version=version,
        day=day,
        n=len(right),
        positives=int(label.sum()),
        **_known(accuracy=accuracy),
        **_known(
            **dict(
                zip(
                    ("accuracy_low", "accuracy_high"),
                    wilson(accuracy, len(right), confidence),
                )
            )
        ),
        **_known(**dict(zip(("auc", "auc_low", "auc_high"), auc))),
    )


def _known(**figures: float) -> dict[str, Any]:
    """NaN as None: JSON has no other word for it."""
    return {
        name: None if math.isnan(value) else value for name, value in figures.items()
    }
