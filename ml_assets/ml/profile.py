"""The reference profile: distributions of training data and predictions."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.dates import holds_dates
from ml_assets.ml.duplicates import MatchRates, match_rates
from ml_assets.ml.predictions import PROBABILITY, Predictions

PROBABILITY_BINS = 20
# A whole number as a float writes it: what one missing cell makes of an integer code.
WHOLE = re.compile(r"(-?\d+)\.0+")


@dataclass(frozen=True)
class NumberProfile:
    """Rows of a numeric column by bin.

    Bin ``i`` holds the values above ``edges[i - 1]`` up to and including ``edges[i]``;
    the first and the last bin are open, and hold no row of the reference: whatever is
    below its smallest or above its largest value has a bin of its own. So has a value
    that many rows hold, so that its neighbours are not counted with it.

    Of the ``missing`` rows, ``early`` stand before the first value: a column that was
    added later has none until then.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    early: int = 0

    @property
    def gaps(self) -> tuple[int, int]:
        """``missing`` and ``early``."""
        return self.missing, self.early

    def count(self, values: NDArray[np.float64]) -> "NumberProfile":
        """The profile of other values in the same bins."""
        return _counted(np.asarray(values, dtype=np.float64), self.edges)


@dataclass(frozen=True)
class CategoryProfile:
    """Rows of a categorical column by category; ``early`` as of `NumberProfile`."""

    counts: dict[str, int]
    missing: int
    early: int = 0

    @property
    def gaps(self) -> tuple[int, int]:
        """``missing`` and ``early``."""
        return self.missing, self.early


@dataclass(frozen=True)
class Profile:
    """What later data is compared with.

    Attributes
    ----------
    rows : int
        Rows that it describes.
    numbers : dict of str to NumberProfile
        By column.
    categories : dict of str to CategoryProfile
        By column; booleans are the categories ``False`` and ``True``.
    probability : NumberProfile
        Rows by what was predicted, in bins of equally many rows.
    positives : int or None
        Predictions of the positive class; None where an older profile has not counted,
        and where no class is the positive one.
    alike : MatchRates or None
        How often two rows have the same values; None where an older profile has not
        counted.
    prediction : str
        What was predicted: see `~ml_assets.ml.predictions.Predictions`.
    labels : CategoryProfile or None
        Rows by the class that was decided on, where there are more than two.
    """

    rows: int
    numbers: dict[str, NumberProfile]
    categories: dict[str, CategoryProfile]
    probability: NumberProfile
    positives: int | None = None
    alike: MatchRates | None = None
    prediction: str = PROBABILITY
    labels: CategoryProfile | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Profile":
        """The inverse of `to_dict`, also after JSON turned tuples into lists."""
        return cls(
            rows=value["rows"],
            numbers={name: _number(item) for name, item in value["numbers"].items()},
            categories={
                name: CategoryProfile(
                    dict(item["counts"]), item["missing"], item.get("early", 0)
                )
                for name, item in value["categories"].items()
            },
            probability=_probability(value["probability"]),
            positives=value.get("positives"),
            alike=MatchRates(*value["alike"]) if value.get("alike") else None,
            prediction=value.get("prediction", PROBABILITY),
            labels=(
                CategoryProfile(dict(value["labels"]["counts"]), 0)
                if value.get("labels")
                else None
            ),
        )


def profile(
    frame: pd.DataFrame, predicted: "Predictions | ArrayLike", bins: int = 20
) -> Profile:
    """Describe rows, and what was predicted for them or for others.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Input columns; those of dates are left out.
    predicted : Predictions or array-like of shape (n_predictions,)
        For rows that the model was not trained on; an array is of probabilities.
    bins : int
        Quantile bins of a numeric column; fewer where values repeat.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, np.nan]})
    >>> found = profile(frame, np.full(4, 0.5), bins=3).numbers["age"]
    >>> found.counts, found.missing
    ((0, 1, 1, 1, 0), 1)
    """
    numbers, categories = {}, {}
    for name in frame.columns:
        column = frame[name]
        if holds_dates(column):
            # They always move on, and what they become has no reference.
            continue
        is_flag = pd.api.types.is_bool_dtype(column.dtype)
        if pd.api.types.is_numeric_dtype(column.dtype) and not is_flag:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            numbers[str(name)] = _counted(values, _edges(values, bins))
        else:
            categories[str(name)] = category_profile(column)
    found = Predictions.of(predicted)
    return Profile(
        rows=len(frame),
        numbers=numbers,
        categories=categories,
        probability=_counted(found.values, _edges(found.values, PROBABILITY_BINS)),
        positives=found.positives,
        alike=match_rates(frame),
        prediction=found.name,
        labels=(
            None if found.labels is None else category_profile(pd.Series(found.labels))
        ),
    )


def category_profile(column: "pd.Series[Any]") -> CategoryProfile:
    """The profile of a categorical column."""
    counts = category_counts(column)
    missing = column.isna().to_numpy()
    counts = dict(sorted(counts.items()))
    return CategoryProfile(counts, int(missing.sum()), _early_rows(missing))


def category_counts(column: "pd.Series[Any]") -> dict[str, int]:
    """Rows of each category as text: 3, 3.0 and "3" are one.

    Examples
    --------
    >>> category_counts(pd.Series([3, 3, None]))
    {'3': 2}
    """
    found: dict[str, int] = {}
    for value, count in column.value_counts(sort=False).items():
        text = category_text(value)
        found[text] = found.get(text, 0) + int(count)
    return found


def category_text(value: object) -> str:
    """One category as text, the same for a whole number however it is carried."""
    text = str(value)
    whole = WHOLE.fullmatch(text)
    return whole.group(1) if whole else text


def _edges(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Limits of the bins: quantiles, and both sides of values that many rows hold."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    shares = np.arange(1, bins) / bins
    edges = np.quantile(known, shares, method="inverted_cdf")
    found, counts = np.unique(known, return_counts=True)
    atoms = found[counts * bins >= len(known)]
    if len(found) <= bins:
        atoms = found
    atoms = atoms if counts.max() > 1 else atoms[:0]
    below = np.nextafter([known.min(), *atoms], -np.inf)
    edges = np.unique(np.concatenate([edges, atoms, below, [known.max()]]))
    return tuple(float(edge) for edge in edges)


def _counted(values: NDArray[np.float64], edges: tuple[float, ...]) -> NumberProfile:
    missing = np.isnan(values)
    bins = np.searchsorted(np.asarray(edges), values[~missing], side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    gaps = int(missing.sum()), _early_rows(missing)
    return NumberProfile(edges, tuple(map(int, counts)), *gaps)


def _number(item: Mapping[str, Any]) -> NumberProfile:
    edges, counts = tuple(item["edges"]), tuple(item["counts"])
    return NumberProfile(edges, counts, item["missing"], item.get("early", 0))


def _probability(value: Any) -> NumberProfile:
    """Older profiles have the counts of twenty equal bins."""
    if isinstance(value, Mapping):
        return _number(value)
    edges = tuple(np.arange(1, len(value)) / len(value))
    return NumberProfile(edges, tuple(value), 0)


def _early_rows(missing: NDArray[np.bool_]) -> int:
    """How many missing rows stand before the first value; 0 where there is no value.

    Examples
    --------
    >>> _early_rows(np.array([True, True, False, True]))
    2
    """
    return 0 if missing.all() else int(missing.argmin())
