"""The reference profile: what training data and predictions looked like."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PROBABILITY_BINS = 20


@dataclass(frozen=True)
class NumberProfile:
    """Rows of a numeric column by bin.

    Bin ``i`` holds the values above ``edges[i - 1]`` up to and including ``edges[i]``;
    the first and the last bin are open, so that every later value falls into one.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int

    def count(self, values: NDArray[np.float64]) -> "NumberProfile":
        """The profile of other values in the same bins."""
        return _counted(np.asarray(values, dtype=np.float64), self.edges)


@dataclass(frozen=True)
class CategoryProfile:
    """Rows of a categorical column by category."""

    counts: dict[str, int]
    missing: int


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
    probability : tuple of int
        Rows by predicted probability, in 20 equal bins from 0 to 1.
    """

    rows: int
    numbers: dict[str, NumberProfile]
    categories: dict[str, CategoryProfile]
    probability: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Profile":
        """The inverse of `to_dict`, also after JSON turned tuples into lists."""
        return cls(
            rows=value["rows"],
            numbers={
                name: NumberProfile(
                    tuple(item["edges"]), tuple(item["counts"]), item["missing"]
                )
                for name, item in value["numbers"].items()
            },
            categories={
                name: CategoryProfile(dict(item["counts"]), item["missing"])
                for name, item in value["categories"].items()
            },
            probability=tuple(value["probability"]),
        )


def profile(
    frame: pd.DataFrame, probability: NDArray[np.float64], bins: int = 20
) -> Profile:
    """Describe rows and the probabilities predicted for them.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Input columns.
    probability : ndarray of shape (n_rows,)
        Predicted for these rows.
    bins : int
        Quantile bins of a numeric column; fewer where values repeat.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, np.nan]})
    >>> profile(frame, np.full(4, 0.5), bins=3).numbers["age"]
    NumberProfile(edges=(20.0, 30.0), counts=(1, 1, 1), missing=1)
    """
    numbers, categories = {}, {}
    for name in frame.columns:
        column = frame[name]
        is_flag = pd.api.types.is_bool_dtype(column.dtype)
        if pd.api.types.is_numeric_dtype(column.dtype) and not is_flag:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            numbers[str(name)] = _counted(values, _edges(values, bins))
        else:
            categories[str(name)] = _categories(column)
    return Profile(len(frame), numbers, categories, probability_counts(probability))


def probability_counts(probability: NDArray[np.float64]) -> tuple[int, ...]:
    """Rows by predicted probability, in 20 equal bins from 0 to 1."""
    counts, _ = np.histogram(probability, bins=PROBABILITY_BINS, range=(0, 1))
    return tuple(int(count) for count in counts)


def _edges(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Inner limits of the bins: values that occur, each once, below the largest."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    shares = np.arange(1, bins) / bins
    # Every edge is a value that occurs: that of many equal rows stands in one bin.
    edges = np.unique(np.quantile(known, shares, method="inverted_cdf"))
    return tuple(float(edge) for edge in edges[edges < known.max()])


def _counted(values: NDArray[np.float64], edges: tuple[float, ...]) -> NumberProfile:
    missing = np.isnan(values)
    place = np.searchsorted(np.asarray(edges), values[~missing], side="left")
    counts = np.bincount(place, minlength=len(edges) + 1)
    return NumberProfile(edges, tuple(map(int, counts)), int(missing.sum()))


def _categories(column: "pd.Series[Any]") -> CategoryProfile:
    counts = column.value_counts(sort=False)
    named = {str(value): int(count) for value, count in counts.items()}
    return CategoryProfile(dict(sorted(named.items())), int(column.isna().sum()))
