"""Live performance: what joined labels say about a version, day by day."""

import math

import msgspec
import pandas as pd

from ml_assets.ml.intervals import wilson
from ml_assets.ml.performance_auc import auc_interval


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one version on one day, of which there is at least one label.

    ``day`` is None for all days together. Intervals are two-sided: Wilson's for
    accuracy, DeLong's for AUC, which is None while one class has not occurred.
    """

    version: str
    day: str | None
    n: int
    positives: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
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
    accuracy = float((rows["predicted"].to_numpy(dtype=bool) == label).mean())
    low, high = wilson(accuracy, len(rows), confidence)
    probability = rows["probability"].to_numpy(dtype="float64")
    auc, auc_low, auc_high = map(_known, auc_interval(probability, label, confidence))
    return Period(
        version=version,
        day=day,
        n=len(rows),
        positives=int(label.sum()),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        auc=auc,
        auc_low=auc_low,
        auc_high=auc_high,
    )


def _known(figure: float) -> float | None:
    """NaN as None: JSON has no other word for it."""
    return None if math.isnan(figure) else figure
