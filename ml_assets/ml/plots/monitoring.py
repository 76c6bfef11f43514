"""Plots of what happens after deployment: drift, performance, and evidence."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_assets.ml.column_drift import ColumnDrift
from ml_assets.ml.drift import DriftReport
from ml_assets.ml.performance import Period
from ml_assets.ml.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    blank,
    dress,
    figure_of,
    png,
    short,
)
from ml_assets.ml.sequential import Trace
from ml_assets.spec.metrics import in_words

MAX_BARS = 15
DETAILS = 4
MAX_POINTS = 2_000


def drift(report: DriftReport) -> bytes:
    """Excess of PSI by column, the largest first, with the floor."""
    shown = list(reversed(report.columns[:MAX_BARS]))
    figure, axes = figure_of(f"Drift over {report.rows_window:,} rows")
    colours = [ORANGE if column.drifted else BLUE for column in shown]
    positions = np.arange(len(shown))
    axes.barh(positions, [column.excess for column in shown], color=colours)
    axes.set_yticks(positions, [short(column.column) for column in shown])
    axes.axvline(report.floor, color=GREY, linestyle="--")
    axes.annotate(
        f"floor {report.floor:g}",
        (report.floor, 0),
        xytext=(4, 2),
        textcoords="offset points",
        color=GREY,
    )
    axes.set_xlabel("Population stability index beyond its noise (orange: drifted)")
    axes.set_xlim(left=0, right=max([report.floor * 1.5, *_excesses(shown)]) * 1.05)
    axes.grid(False, axis="y")
    return png(figure)


def _excesses(columns: Sequence[ColumnDrift]) -> list[float]:
    return [column.excess for column in columns]


def distributions(report: DriftReport) -> bytes:
    """The four columns that moved most: shares of rows, before and now."""
    columns = report.columns[:DETAILS]
    figure = blank((6.4, 5.6))
    for number, column in enumerate(columns):
        axes = figure.add_subplot(2, 2, number + 1)
        dress(axes, f"{short(column.column)} (PSI {column.psi:.2f})", size=10)
        positions = np.arange(len(column.groups))
        before = [100 * group.reference for group in column.groups]
        now = [100 * group.window for group in column.groups]
        axes.bar(positions - 0.2, before, 0.4, color=GREY, label="reference")
        axes.bar(positions + 0.2, now, 0.4, color=BLUE, label="window")
        step = max(1, -(-len(positions) // 6))
        names = [short(group.label, 14) for group in column.groups]
        axes.set_xticks(
            positions[::step], names[::step], rotation=30, ha="right", size=7
        )
        axes.tick_params(axis="y", labelsize=8)
        if number % 2 == 0:
            axes.set_ylabel("Rows (%)", fontsize=9)
        if number == 0:
            axes.legend(frameon=False, fontsize=8)
    return png(figure)


def performance(periods: Sequence[Period], version: str, offline: float) -> bytes:
    """Main figure of one version by day with its intervals, beside the offline one."""
    shown = [p for p in periods if p.version == version and p.day is not None]
    name = in_words(shown[0].main)
    figure, axes = figure_of(f"Live {name} of {version}")
    positions = np.arange(len(shown))
    main = [period.figures[period.main] for period in shown]
    # A day with one label has no interval.
    value, low, high = (
        np.array([getattr(item, side) for item in main], dtype=np.float64)
        for side in ("value", "low", "high")
    )
    errors = np.nan_to_num([value - low, high - value]).clip(min=0)
    if not np.isnan(offline):
        label = f"offline {offline:.4f}"
        axes.axhline(offline, color=GREY, linestyle="--", label=label)
    axes.errorbar(
        positions,
        value,
        yerr=errors,
        fmt="o",
        color=BLUE,
        capsize=3,
        label="live, 95 % interval",
    )
    step = max(1, -(-len(shown) // 8))
    days = [f"{period.day}\n{period.n:,} labels" for period in shown]
    axes.set_xticks(positions[::step], days[::step], fontsize=8)
    axes.set_xlim(-0.5, max(len(shown) - 0.5, 0.5))
    axes.set_ylabel(name[0].upper() + name[1:])
    axes.legend(frameon=False)
    return png(figure)


def evidence(trace: Trace, threshold: float, sentence: str) -> bytes:
    """E-values after each label, with what the first of them to decide must reach."""
    figure, axes = figure_of("Evidence after each label")
    labels = np.arange(1, len(trace.better) + 1)
    limit = np.exp(threshold)
    curves: list[tuple[Any, str, str]] = [
        (trace.better, BLUE, "challenger is better"),
        (trace.worse, ORANGE, "challenger is worse"),
    ]
    chosen = np.linspace(0, len(labels) - 1, min(len(labels), MAX_POINTS)).astype(int)
    for values, colour, name in curves:
        if len(labels):
            wealth = np.exp(np.clip(values[chosen], -12, 40))
            axes.plot(labels[chosen], wealth, color=colour, linewidth=2, label=name)
    axes.axhline(limit, color=GREY, linestyle="--", label=f"decides ({limit:g})")
    axes.set_yscale("log")
    axes.set_xlabel("\n".join(textwrap.wrap(sentence, 92)), fontsize=9)
    axes.set_ylabel("E-value")
    axes.legend(frameon=False, loc="upper left")
    return png(figure)
