"""Dates as features: how old a date is, and its parts of the calendar.

Registered models hold `DateFeatures` by the path of this module: neither may move.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml_assets.ml.frames import with_columns
from ml_assets.ml.identifiers import are_dates, distinct_texts
from ml_assets.spec.model import FeaturesSpec

PARTS = ("age in days", "month", "day", "weekday", "hour")
_DAY = 86_400.0


def date_features(names: Sequence[str]) -> list[str]:
    """Names of the features that date columns become, in the order of `DateFeatures`.

    Examples
    --------
    >>> date_features(["opened"])[:2]
    ['opened: age in days', 'opened: month']
    """
    return [f"{name}: {part}" for name in names for part in PARTS]


class DateFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replace columns of ISO dates by numbers.

    The age of a date is the days from it to the newest date of its column in training:
    negative for a later one, and the same whenever the row is scored. Month is 1 to 12,
    day 1 to 31, weekday 0 (Monday) to 6, hour 0 to 23, all in UTC. What is no ISO date
    is missing.

    Parameters
    ----------
    columns : list of str
        The date columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"opened": ["2026-11-26", "2026-11-28"], "fee": [1, 2]})
    >>> DateFeatures(["opened"]).fit_transform(frame)["opened: age in days"].tolist()
    [2.0, 0.0]
    """

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: Any = None) -> "DateFeatures":
        """Note the newest date of each column."""
        newest = [np.max(_seconds(X[name]), initial=-np.inf) for name in self.columns]
        self.newest_ = np.array(newest, dtype=np.float64)
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = len(X.columns)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """`X` without the date columns, and their features behind the others."""
        check_is_fitted(self, "newest_")
        features: dict[str, NDArray[np.float64]] = {}
        for name, newest in zip(self.columns, self.newest_, strict=True):
            dates = _dates(X[name])
            parts = (
                (newest - _seconds_of(dates)) / _DAY,
                dates.month,
                dates.day,
                dates.day_of_week,
                dates.hour,
            )
            for feature, values in zip(date_features([name]), parts, strict=True):
                features[feature] = np.asarray(values, dtype=np.float64)
        return with_columns(X.drop(columns=self.columns), features)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the columns that `transform` returns."""
        check_is_fitted(self, "newest_")
        kept = [name for name in self.feature_names_in_ if name not in self.columns]
        return np.asarray([*kept, *date_features(self.columns)], dtype=object)


def date_columns(frame: pd.DataFrame, spec: FeaturesSpec) -> list[str]:
    """The date columns of `frame`: asked for, or of texts that all are ISO dates.

    Examples
    --------
    >>> frame = pd.DataFrame({"opened": ["2026-11-28"], "fee": [1]})
    >>> date_columns(frame, FeaturesSpec())
    ['opened']
    >>> date_columns(frame, FeaturesSpec(categorical=["opened"]))
    []
    """
    kinds = {*spec.numeric, *spec.categorical, *spec.text}
    return [
        name
        for name in frame.columns
        if name in spec.dates or (name not in kinds and holds_dates(frame[name]))
    ]


def holds_dates(column: "pd.Series[Any]") -> bool:
    """Whether a column holds texts, and all are ISO dates."""
    texts = distinct_texts(column)
    return bool(texts) and are_dates(texts) and not odd_dates(pd.Series(texts))


def odd_dates(column: "pd.Series[Any]") -> list[str]:
    """The values of a column that are no ISO dates, sorted.

    Examples
    --------
    >>> odd_dates(pd.Series(["2026-11-28", "28.11.2026", None, "2026-11-28T10:00Z"]))
    ['28.11.2026']
    """
    known = pd.Series(column.dropna().unique().tolist(), dtype=object)
    return sorted(map(str, known[_dates(known).isna()]))


def _dates(column: "pd.Series[Any]") -> pd.DatetimeIndex:
    """The dates as UTC, NaT where there is none."""
    codes, values = pd.factorize(column.astype(object))
    texts = [str(value) for value in values]
    parsed = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    # One element more: code -1, a missing cell, reads the last.
    return pd.DatetimeIndex(parsed.insert(len(parsed), pd.NaT).take(codes))


def _seconds_of(dates: pd.DatetimeIndex) -> NDArray[np.float64]:
    since = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(since, dtype=np.float64)


def _seconds(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Seconds since 1970 of the dates that there are."""
    seconds = _seconds_of(_dates(column))
    return seconds[~np.isnan(seconds)]
