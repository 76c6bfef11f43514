"""One column of a window beside the same column of the reference profile."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml import drift_measures as measure
from ml_assets.ml.profile import CategoryProfile, NumberProfile, probability_counts

Kind = Literal["number", "category", "prediction"]
PREDICTION = "probability"
MISSING, UNSEEN, RARE = "(missing)", "(unseen)", "(rare)"


class Group(msgspec.Struct, frozen=True):
    """A bar of a column's plot: shares of the rows, 0 to 1."""

    label: str
    reference: float
    window: float


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How one column compares.

    Parameters
    ----------
    column : str
    kind : {'number', 'category', 'prediction'}
    psi, psi_noise : float
        Population stability index, and what it comes to on average without drift.
    js : float
        Jensen-Shannon divergence in bits, 0 to 1.
    test : {'ks', 'chi2'}
        Of the distribution of the values.
    statistic : float
        Its statistic.
    p_value : float
        That neither the distribution nor the share of missing (or, for categories,
        unseen) values changed.
    p_adjusted : float
        The same, adjusted for the number of columns.
    missing_reference, missing_window, unseen : float
        Shares of the rows; `unseen` is that of categories that are not in the profile.
    drifted : bool
        Surprising and large: see `~ml_assets.ml.drift.compare`.
    groups : tuple of Group
        The distributions.
    """

    column: str
    kind: Kind
    psi: float
    psi_noise: float
    js: float
    test: Literal["ks", "chi2"]
    statistic: float
    p_value: float
    missing_reference: float = 0.0
    missing_window: float = 0.0
    unseen: float = 0.0
    groups: tuple[Group, ...] = ()
    p_adjusted: float = 1.0
    drifted: bool = False

    @property
    def excess(self) -> float:
        """The part of `psi` that chance does not account for."""
        return max(self.psi - self.psi_noise, 0.0)


def number_drift(
    name: str,
    reference: NumberProfile,
    column: "pd.Series[Any]",
    sample: NDArray[np.float64] | None = None,
) -> ColumnDrift:
    """Compare a numeric column; with raw values of the reference, KS on them.

    Raises
    ------
    ValueError
        If `column` holds something that is no number.
    """
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"column {name}: the profile has numbers,"
            f" the window has {pd.api.types.infer_dtype(column, skipna=True)} values"
        ) from error
    counted = reference.count(values)
    first, second = _array(reference.counts), _array(counted.counts)
    if sample is None:
        statistic, p_value = measure.ks_binned(first, second)
    else:
        statistic, p_value = measure.ks_raw(sample, values)
    missing = reference.missing, counted.missing
    p_missing = measure.share_changed(
        missing[0], int(first.sum()) + missing[0], missing[1], len(values)
    )
    return _measured(
        name,
        "number",
        _bin_labels(reference.edges),
        first,
        second,
        apart={MISSING: missing},
        test="ks",
        statistic=statistic,
        p_value=min(2 * min(p_value, p_missing), 1.0),
        missing_reference=_share(missing[0], reference.counts, missing[0]),
        missing_window=_share(missing[1], (len(values),)),
    )


def category_drift(
    name: str, reference: CategoryProfile, column: "pd.Series[Any]"
) -> ColumnDrift:
    """Compare a categorical column; values that the profile lacks count as unseen."""
    found = column.value_counts(sort=False)
    seen: dict[str, int] = {}
    for value, count in found.items():
        seen[str(value)] = seen.get(str(value), 0) + int(count)
    missing = reference.missing, int(column.isna().sum())
    before, after = {**reference.counts}, seen
    if any(missing):
        # A category like any other, where it occurs.
        before[MISSING], after[MISSING] = missing
    unseen = sum(count for value, count in after.items() if value not in before)
    # Rarest last, so that what is rare is merged with what is rare.
    labels = sorted(before, key=lambda value: (-before[value], value))
    first = _array([before[label] for label in labels])
    second = _array([after.get(label, 0) for label in labels])
    groups = measure.merge_rare(first, second)
    statistic, p_value = measure.chi_squared(
        measure.summed(first, groups), measure.summed(second, groups)
    )
    p_unseen = measure.share_changed(0, int(first.sum()), unseen, len(column))
    return _measured(
        name,
        "category",
        labels,
        first,
        second,
        apart={UNSEEN: (0, unseen)},
        test="chi2",
        statistic=statistic,
        p_value=min(2 * min(p_value, p_unseen), 1.0),
        missing_reference=_share(missing[0], tuple(before.values())),
        missing_window=_share(missing[1], (len(column),)),
        unseen=_share(unseen, (len(column),)),
    )


def prediction_drift(
    reference: tuple[int, ...], probability: NDArray[np.float64]
) -> ColumnDrift:
    """Compare the predicted probabilities."""
    first, second = _array(reference), _array(probability_counts(probability))
    statistic, p_value = measure.ks_binned(first, second)
    labels = _bin_labels(tuple(np.arange(1, len(first)) / len(first)))
    return _measured(
        PREDICTION,
        "prediction",
        labels,
        first,
        second,
        test="ks",
        statistic=statistic,
        p_value=p_value,
    )


def _measured(
    name: str,
    kind: Kind,
    labels: list[str],
    reference: NDArray[np.float64],
    window: NDArray[np.float64],
    *,
    apart: Mapping[str, tuple[int, int]] | None = None,
    **figures: Any,
) -> ColumnDrift:
    """Distances over merged groups, and over those of `apart` that occur."""
    numbers = measure.merge_rare(reference, window)
    names = _group_labels(labels, numbers, kind)
    first, second = (measure.summed(c, numbers) for c in (reference, window))
    for label, rows in (apart or {}).items():
        if any(rows):
            names.append(label)
            first, second = np.append(first, rows[0]), np.append(second, rows[1])
    shares = (counts / max(counts.sum(), 1.0) for counts in (first, second))
    return ColumnDrift(
        column=name,
        kind=kind,
        psi=measure.psi(first, second),
        psi_noise=measure.psi_noise(first, second),
        js=measure.jensen_shannon(first, second),
        groups=tuple(map(Group, names, *(share.tolist() for share in shares))),
        **figures,
    )


def _share(part: int, *rows: Any) -> float:
    return float(part / max(sum(int(np.sum(counts)) for counts in rows), 1))


def _group_labels(labels: list[str], numbers: NDArray[Any], kind: Kind) -> list[str]:
    names = []
    for group in range(int(numbers.max()) + 1):
        members = [label for label, at in zip(labels, numbers) if at == group]
        if len(members) == 1:
            names.append(members[0])
        elif kind == "category":
            names.append(RARE)
        else:
            names.append(f"{members[0]} to {members[-1]}")
    return names


def _bin_labels(edges: tuple[float, ...]) -> list[str]:
    if not edges:
        return ["all"]
    between = [f"{low:g} - {high:g}" for low, high in zip(edges, edges[1:])]
    return [f"up to {edges[0]:g}", *between, f"above {edges[-1]:g}"]


def _array(counts: Any) -> NDArray[np.float64]:
    return np.asarray(counts, dtype=np.float64)
