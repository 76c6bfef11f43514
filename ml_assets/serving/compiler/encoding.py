"""The columns of an estimator's input as functions of request columns."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.program import CategorySource, NumericSource

Floats = NDArray[np.float64]


class NotCompiled(Exception):
    """The pipeline holds something that the compiled runtime cannot do."""


@dataclass(frozen=True)
class NumericFeature:
    """``(value - mean) / scale``, where a missing value was first set to `fill`.

    `fill` is NaN where nothing is imputed. `finite` is set where scikit-learn refuses
    an infinite value before the estimator gets it.
    """

    source: int
    fill: float = np.nan
    mean: float = 0.0
    scale: float = 1.0
    finite: bool = False

    def apply(self, values: Floats) -> Floats:
        """The feature for `values` without NaN, by the operations of StandardScaler."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (values - self.mean) / self.scale

    @property
    def is_identity(self) -> bool:
        """Whether the estimator sees the value itself."""
        return self.mean == 0.0 and self.scale == 1.0


@dataclass(frozen=True)
class CategoryFeature:
    """A number for each code of a category source (see `CategorySource`)."""

    source: int
    table: Floats


Feature = NumericFeature | CategoryFeature


@dataclass(frozen=True)
class Encoding:
    """The steps before the estimator.

    Attributes
    ----------
    expressions : list of str
        Of the derived columns that are used.
    numeric, category : list
        The sources, which features name by index.
    features : list of Feature
        One a column of the estimator's input.
    matrix : ndarray of shape (n_codes, n_features)
        What the real encoder gives when every category column walks over its codes.
    is_sparse : bool
        Whether the estimator gets a sparse matrix.
    """

    expressions: list[str]
    numeric: list[NumericSource]
    category: list[CategorySource]
    features: list[Feature]
    matrix: Floats
    is_sparse: bool

    def with_features(self, order: list[int], matrix: Floats) -> "Encoding":
        """The same after a step that reorders columns and recodes categories."""
        features = [self.features[index] for index in order]
        for position, feature in enumerate(features):
            if isinstance(feature, CategoryFeature):
                table = matrix[: len(feature.table), position]
                features[position] = replace(feature, table=table)
        return replace(self, features=features, matrix=matrix)
