"""Drift of one column: a window beside the reference profile."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml import two_sample as measure
from ml_assets.ml.predictions import Predictions
from ml_assets.ml.profile import (
    CategoryProfile,
    NumberProfile,
    Profile,
    category_profile,
    category_text,
)
from ml_assets.ml.two_sample import Counts
from ml_assets.records.plan import LISTED

Kind = Literal["number", "category", "prediction"]
POSITIVE, LABEL = "predicted positive", "predicted class"
MISSING, UNSEEN, RARE = "(missing)", "(unseen)", "(rare)"
# A window that has this share of its rows in values that had between a sixtieth (a
# week of the year) and a third (a quarter of a day) of the reference may be a season's.
SEASON_ROWS, LEAST_SEASON, MOST_SEASON = 0.95, 1 / 60, 1 / 3
# A window that has more than this share of its rows in values unknown to the reference.
GROWS = 0.5


class Group(msgspec.Struct, frozen=True):
    """One group of a column's values: its shares of the rows, 0 to 1."""

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
    statistic : float
        Of the distribution of the values.
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
        The distributions, as the plot shows them.
    hint : str
        Why the column may change by its nature; empty where nothing suggests it.
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
    """Compare a numeric column; raises `ValueError` where it holds no numbers."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"column {name}: the profile has numbers,"
            f" the window has {pd.api.types.infer_dtype(column, skipna=True)} values"
        ) from error
    return _binned(name, "number", reference, values)


def prediction_drift(reference: Profile, predicted: Predictions) -> list[ColumnDrift]:
    """Compare what was predicted, and how often each class was decided on.

    A rare class may treble within the last of the bins, so that its rate is compared by
    itself, on the scale of even odds.
    """
    name, values = reference.prediction, predicted.values
    found = [_binned(name, "prediction", reference.probability, values)]
    if reference.labels is not None and predicted.labels is not None:
        decided = category_drift(LABEL, reference.labels, pd.Series(predicted.labels))
        found.append(msgspec.structs.replace(decided, kind="prediction", hint=""))
    n, m = sum(reference.probability.counts), len(values)
    before, now = reference.positives, predicted.positives
    if before is None or now is None or not n:
        return found
    index, noise = measure.rate_psi(before, n, now, m)
    rates = before / n, now / m
    rate_drift = ColumnDrift(
        column=POSITIVE,
        kind="prediction",
        psi=index,
        psi_noise=noise,
        js=measure.jensen_shannon(_array([n - before, before]), _array([m - now, now])),
        test="binomial",
        statistic=rates[1] - rates[0],
        p_value=measure.proportion_test(before, n, now, m),
        groups=(
            Group("negative", 1 - rates[0], 1 - rates[1]),
            Group("positive", *rates),
        ),
    )
    return [*found, rate_drift]


def _binned(
    name: str, kind: Kind, reference: NumberProfile, values: NDArray[np.float64]
) -> ColumnDrift:
    counted = reference.count(values)
    first, second = _array(reference.counts), _array(counted.counts)
    statistic, p_value = measure.ks_binned(first, second)
    n, m = int(first.sum()), int(second.sum())
    # Above the largest of n values, the chance of m more of them is just this binomial.
    ends = [
        measure.proportion_test(int(first[end]), n, int(second[end]), m)
        for end in ((0, -1) if len(first) > 1 else ())
    ]
    return _compared(
        name,
        kind,
        _bin_labels(reference.edges),
        first,
        second,
        rows=(n, m),
        missing=measure.nearest_missing((n, m), reference.gaps, counted.gaps),
        test="ks",
        statistic=statistic,
        p_values=[p_value, _grouped_chi_squared(first, second)[1], *ends],
        hint=nonstationary_hint(first, second),
    )


def category_drift(
    name: str, reference: CategoryProfile, column: "pd.Series[Any]"
) -> ColumnDrift:
    """Compare a categorical column.

    Values are ordered by the rows that both samples have of them, and the rarest are
    one group: what a value has of the window then has no part in where it is counted.
    """
    before: Counter[str] = Counter()
    for value, rows in reference.counts.items():
        before[category_text(value)] += rows
    window = category_profile(column)
    after = window.counts
    n, m = sum(before.values()), sum(after.values())
    pooled = {v: before.get(v, 0) + after.get(v, 0) for v in {*before, *after}}
    labels = sorted(pooled, key=lambda value: (-pooled[value], value))
    first = _array([before.get(label, 0) for label in labels])
    second = _array([after.get(label, 0) for label in labels])
    chi_squared = _grouped_chi_squared(first, second) if labels else (0.0, 1.0)
    is_new = first == 0
    unseen = int(second[is_new].sum())
    # Of the rows of the reference, those whose value no other row has are what a row
    # that comes later would find unseen (Good and Turing).
    single = min(int((first == 1).sum()), int(first.sum()))
    known = first - (first == 1)
    return _compared(
        name,
        "category",
        [label for label, new in zip(labels, is_new) if not new] or [RARE],
        known[~is_new] if n else np.zeros(1),
        second[~is_new] if n else np.zeros(1),
        rows=(n, m),
        missing=measure.nearest_missing((n, m), reference.gaps, window.gaps),
        apart={UNSEEN: (single, unseen)},
        test="chi2",
        statistic=chi_squared[0],
        p_values=[chi_squared[1], measure.new_values_test(first, second)],
        hint=nonstationary_hint(first, second),
    )


def nonstationary_hint(reference: Counts, window: Counts) -> str:
    """Why a column may change by its nature; empty where nothing suggests it.

    A month or a weekday has, in a window, few of the values that training had, each
    of them known; a date or a counter has what is beyond all that training had.
    """
    n, m = reference.sum(), window.sum()
    if not n or not m:
        return ""
    if window[reference == 0].sum() > GROWS * m:
        return "it grows with time or is a name"
    order = np.argsort(-window, kind="stable")
    few = order[: int(np.searchsorted(np.cumsum(window[order]), SEASON_ROWS * m)) + 1]
    share = float(reference[few].sum() / n)
    return "it looks like a season" if LEAST_SEASON <= share <= MOST_SEASON else ""


def _grouped_chi_squared(first: Counts, second: Counts) -> tuple[float, float]:
    groups = measure.merge_rare(first, second)
    merged = (measure.summed(counts, groups) for counts in (first, second))
    return measure.chi_squared(*merged)


def _compared(
    name: str,
    kind: Kind,
    labels: list[str],
    reference: Counts,
    window: Counts,
    *,
    rows: tuple[int, int],
    missing: tuple[int, int],
    p_values: list[float],
    apart: Mapping[str, tuple[int, int]] | None = None,
    **figures: Any,
) -> ColumnDrift:
    """Distances over merged groups, those of `apart`, and the missing rows.

    `rows` and `missing` are those of the reference and of the window; the missing
    share has a p-value of its own, and all are joined by Bonferroni's method.
    """
    n, m = rows[0] + missing[0], rows[1] + missing[1]
    p = [*p_values, measure.proportion_test(missing[0], n, missing[1], m)]
    numbers = measure.merge_rare(reference, window)
    names = _group_labels(labels, numbers, kind)
    first, second = (measure.summed(c, numbers) for c in (reference, window))
    apart = {**(apart or {}), MISSING: missing}
    for label, counts in apart.items():
        if any(counts):
            names.append(label)
            first, second = np.append(first, counts[0]), np.append(second, counts[1])
    shares = (counts / max(counts.sum(), 1.0) for counts in (first, second))
    return ColumnDrift(
        column=name,
        kind=kind,
        psi=measure.psi(first, second),
        psi_noise=measure.psi_noise(first, second),
        js=measure.jensen_shannon(first, second),
        p_value=min(len(p) * min(p), 1.0),
        missing_reference=missing[0] / max(n, 1),
        missing_window=missing[1] / max(m, 1),
        unseen=apart.get(UNSEEN, (0, 0))[1] / max(m, 1),
        groups=tuple(map(Group, names, *(share.tolist() for share in shares))),
        **figures,
    )


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


def _array(counts: Any) -> Counts:
    return np.asarray(counts, dtype=np.float64)
