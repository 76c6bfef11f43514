"""One column of a window beside the same column of the reference profile."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml import drift_measures as measure
from ml_assets.ml.drift_season import moves_by_itself
from ml_assets.ml.profile import (
    CategoryProfile,
    NumberProfile,
    Profile,
    category_counts,
    category_text,
)
from ml_assets.records.plan import LISTED

Kind = Literal["number", "category", "prediction"]
PREDICTION, POSITIVE = "probability", "predicted positive"
Counts = NDArray[np.float64]
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
    test : {'ks', 'chi2', 'binomial'}
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
    hint : str
        What kind of column moves by itself like this; empty where none does.
    """

    column: str
    kind: Kind
    psi: float
    psi_noise: float
    js: float
    test: Literal["ks", "chi2", "binomial"]
    statistic: float
    p_value: float
    missing_reference: float = 0.0
    missing_window: float = 0.0
    unseen: float = 0.0
    groups: tuple[Group, ...] = ()
    p_adjusted: float = 1.0
    drifted: bool = False
    hint: str = ""

    @property
    def excess(self) -> float:
        """The part of `psi` that chance does not account for."""
        return max(self.psi - self.psi_noise, 0.0)


def number_drift(
    name: str, reference: NumberProfile, column: "pd.Series[Any]"
) -> ColumnDrift:
    """Compare a numeric column.

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
    return _binned(name, "number", reference, values)


def prediction_drift(
    reference: Profile, probability: NDArray[np.float64]
) -> list[ColumnDrift]:
    """Compare the predicted probabilities, and how often the class is the positive one.

    A rare class may treble within the last of the bins, so that its rate is compared by
    itself, on the scale of even odds.
    """
    found = [_binned(PREDICTION, "prediction", reference.probability, probability)]
    rows = sum(reference.probability.counts)
    if reference.positives is None or not rows:
        return found
    positive = int((probability >= 0.5).sum())
    counts = reference.positives, rows, positive, len(probability)
    index, noise = measure.rate_index(*counts)
    shares = reference.positives / rows, positive / len(probability)
    first, second = _array([rows - counts[0], counts[0]]), _array(
        [len(probability) - positive, positive]
    )
    found.append(
        ColumnDrift(
            column=POSITIVE,
            kind="prediction",
            psi=index,
            psi_noise=noise,
            js=measure.jensen_shannon(first, second),
            test="binomial",
            statistic=shares[1] - shares[0],
            p_value=measure.share_changed(*counts),
            groups=(
                Group("negative", 1 - shares[0], 1 - shares[1]),
                Group("positive", *shares),
            ),
        )
    )
    return found


def _binned(
    name: str, kind: Kind, reference: NumberProfile, values: NDArray[np.float64]
) -> ColumnDrift:
    counted = reference.count(values)
    first, second = _array(reference.counts), _array(counted.counts)
    statistic, p_value = measure.ks_binned(first, second)
    groups = measure.merge_rare(first, second)
    missing = reference.missing, counted.missing
    n, m = int(first.sum()), int(second.sum())
    # Above the largest of n values, the chance of m more of them is just this binomial.
    ends = [
        measure.share_changed(int(first[end]), n, int(second[end]), m)
        for end in ((0, -1) if len(first) > 1 else ())
    ]
    p_values = [
        p_value,
        measure.chi_squared(*(measure.summed(c, groups) for c in (first, second)))[1],
        measure.share_changed(missing[0], n + missing[0], missing[1], len(values)),
        *ends,
    ]
    return _measured(
        name,
        kind,
        _bin_labels(reference.edges),
        first,
        second,
        apart={MISSING: missing},
        test="ks",
        statistic=statistic,
        p_value=min(len(p_values) * min(p_values), 1.0),
        missing_reference=_share(missing[0], reference.counts, missing[0]),
        missing_window=_share(missing[1], (len(values),)),
        hint=moves_by_itself(first, second),
    )


def category_drift(
    name: str, reference: CategoryProfile, column: "pd.Series[Any]"
) -> ColumnDrift:
    """Compare a categorical column.

    Values are ordered by the rows that both samples have of them, and the rarest are
    one group: what a value has of the window then has no part in where it is counted.
    """
    before: dict[str, int] = {}
    for value, rows in reference.counts.items():
        text = category_text(value)
        before[text] = before.get(text, 0) + rows
    after = category_counts(column)
    missing = reference.missing, int(column.isna().sum())
    n, m = sum(before.values()), sum(after.values())
    pooled = {v: before.get(v, 0) + after.get(v, 0) for v in {*before, *after}}
    labels = sorted(pooled, key=lambda value: (-pooled[value], value))
    first = _array([before.get(label, 0) for label in labels])
    second = _array([after.get(label, 0) for label in labels])
    statistic, p_value = 0.0, 1.0
    if labels:
        groups = measure.merge_rare(first, second)
        statistic, p_value = measure.chi_squared(
            measure.summed(first, groups), measure.summed(second, groups)
        )
    p_values = [
        p_value,
        measure.newcomers(first, second),
        measure.share_changed(missing[0], n + missing[0], missing[1], m + missing[1]),
    ]
    is_new = first == 0
    unseen = int(second[is_new].sum())
    # Of the rows of the reference, those whose value no other row has are what a row
    # that comes later would find unseen (Good and Turing).
    single = min(int((first == 1).sum()), int(first.sum()))
    known = first - (first == 1)
    return _measured(
        name,
        "category",
        [label for label, new in zip(labels, is_new) if not new] or [RARE],
        known[~is_new] if n else np.zeros(1),
        second[~is_new] if n else np.zeros(1),
        apart={UNSEEN: (single, unseen), MISSING: missing},
        test="chi2",
        statistic=statistic,
        p_value=min(len(p_values) * min(p_values), 1.0),
        missing_reference=_share(missing[0], (n,), missing[0]),
        missing_window=_share(missing[1], (m,), missing[1]),
        unseen=_share(unseen, (m,), missing[1]),
        hint=moves_by_itself(first, second),
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
        if kind == "category" and len(labels) > LISTED:
            # So many values may name whom the rows are about.
            names.append(f"value {group + 1}")
        elif len(members) == 1:
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
