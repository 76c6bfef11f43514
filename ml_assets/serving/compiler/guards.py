"""Which values the real pipeline refuses, so that the compiled one does too."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    Floats,
    NumericFeature,
)
from ml_assets.serving.compiler.thresholds import greatest_below


@dataclass(frozen=True)
class Guards:
    """Limits of the numeric sources and refused codes of the category sources.

    Attributes
    ----------
    limits : ndarray of float64, shape (n_numeric, 2)
        A value must be above the first and not above the second; NaN for no limit.
    takes_missing : ndarray of bool, shape (n_numeric,)
    refused : list of ndarray of bool, shape (n_codes,)
        One array a category source.
    """

    limits: Floats
    takes_missing: NDArray[np.bool_]
    refused: list[NDArray[np.bool_]]


def image(feature: NumericFeature, values: Floats, is_single: bool) -> Floats:
    """What the estimator compares: the feature, rounded where it works in float32."""
    found = feature.apply(values)
    if is_single:
        with np.errstate(over="ignore"):
            return found.astype(np.float32).astype(np.float64)
    return found


def _image_of(feature: NumericFeature, is_single: bool, values: Floats) -> Floats:
    return image(feature, values, is_single)


def find_guards(
    encoding: Encoding, is_single: bool, takes_missing: bool, takes_infinite: bool
) -> Guards:
    """Work out what scikit-learn's input validation would refuse."""
    limits = np.full((len(encoding.numeric), 2), np.nan)
    missing = np.ones(len(encoding.numeric), dtype=bool)
    refused = [np.zeros(len(s.categories) + 2, dtype=bool) for s in encoding.category]
    greatest = np.finfo(np.float32 if is_single else np.float64).max
    for feature in encoding.features:
        if isinstance(feature, CategoryFeature):
            if not takes_missing:
                refused[feature.source] |= np.isnan(feature.table)
            continue
        missing[feature.source] &= takes_missing or not np.isnan(feature.fill)
        if feature.finite:
            _tighten(limits[feature.source], -np.inf, np.finfo(np.float64).max)
        if not takes_infinite:
            low, high = greatest_below(
                functools.partial(_image_of, feature, is_single),
                np.array([-np.inf, float(greatest)]),
            )
            _tighten(limits[feature.source], low, high)
    return Guards(limits, missing, refused)


def _tighten(limits: Floats, low: float, high: float) -> None:
    limits[0] = np.fmax(limits[0], low)
    limits[1] = np.fmin(limits[1], high)
