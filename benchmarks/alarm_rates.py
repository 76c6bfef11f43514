"""Alarms where nothing happened: drift, performance and contract on stationary data.

    python -m benchmarks.alarm_rates

Every window, stream and week is drawn from the distribution that training saw. The
gate's rates are those of ``python -m benchmarks.gate_rates``.
"""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drift import table
from ml_assets.ml.contract import Contract
from ml_assets.ml.drift import compare
from ml_assets.ml.performance import auc_interval
from ml_assets.ml.profile import profile
from ml_assets.ml.sequential.degradation import (
    Degradation,
    accuracy_degraded,
    auc_degraded,
)

Generator = np.random.Generator
Draw = Callable[[Generator, int], Any]
REFERENCE, ALPHA = 10_000, 0.01
SIZES = (100, 1_000, 10_000, 200_000)


def zipf(levels: int, exponent: float = 1.0) -> Draw:
    """Categories of which few are frequent and most are rare."""
    weights = np.arange(1, levels + 1, dtype=np.float64) ** -exponent
    shares = np.cumsum(weights / weights.sum())

    def draw(generator: Generator, n: int) -> Any:
        levels = np.searchsorted(shares, generator.random(n))
        return np.char.add("level ", levels.astype(str))

    return draw


def with_missing(draw: Draw, share: float) -> Draw:
    """The same with missing values."""

    def some(generator: Generator, n: int) -> Any:
        values = pd.Series(draw(generator, n))
        return values.mask(generator.random(n) < share)

    return some


COLUMNS: dict[str, Draw] = {
    "normal": lambda g, n: g.normal(size=n),
    "skewed (log-normal, sigma 2)": lambda g, n: g.lognormal(0, 2, n),
    "90 % zeros, else log-normal": lambda g, n: (
        g.lognormal(0, 1, n) * (g.random(n) < 0.1)
    ),
    "whole numbers (Poisson 3)": lambda g, n: g.poisson(3, n),
    "99 % ones": lambda g, n: (g.random(n) < 0.99).astype(float),
    "constant": lambda g, n: np.ones(n),
    "normal, 30 % missing": with_missing(lambda g, n: g.normal(size=n), 0.3),
    "truth values": lambda g, n: g.random(n) < 0.3,
    "whole categories, 1 % missing": with_missing(
        lambda g, n: g.integers(0, 12, n).astype(object), 0.01
    ),
    "5 categories": lambda g, n: g.choice(
        [*"abcde"], n, p=[0.6, 0.3, 0.08, 0.015, 5e-3]
    ),
    "300 categories, Zipf": zipf(300),
    "5,000 categories, Zipf": zipf(5_000),
    "5,000 categories alike": zipf(5_000, 0.0),
}


def drift(times: int, generator: Generator) -> None:
    """Windows of one column, beside a reference of 10,000 rows."""
    rows = []
    for name, draw in COLUMNS.items():
        cells = []
        for size in SIZES:
            # A larger window takes longer, and chance makes less of it.
            count = max(times * 1_000 // max(size, 1_000), times // 50, 5)
            alarms = surprising = 0
            for turn in range(count):
                if turn % 50 == 0:
                    chance = generator.beta(2, 5, REFERENCE)
                    frame = pd.DataFrame({"x": draw(generator, REFERENCE)})
                    reference = profile(frame, chance)
                window = pd.DataFrame({"x": draw(generator, size)})
                report = compare(
                    reference, window, generator.beta(2, 5, size), alpha=ALPHA
                )
                alarms += report.drifted
                surprising += any(c.p_adjusted <= ALPHA for c in report.columns)
            cells.append(f"{alarms / count:.3f} ({surprising / count:.3f})")
        rows.append((name, *cells))
    table(
        f"**Drift: share of stationary windows with an alarm (and with a surprising"
        f" column), alpha {ALPHA}**",
        ("column", *(f"{size:,} rows" for size in SIZES)),
        rows,
    )


def performance(times: int, generator: Generator) -> None:
    """Streams that are evaluated after each of 5,000 labels."""
    rows = []
    for truth in (0.6, 0.85, 0.99):
        for offline_rows in (200, 2_000):
            alarms = [
                _ever(
                    accuracy_degraded(
                        generator.random(5_000) < truth,
                        generator.binomial(offline_rows, truth) / offline_rows,
                        offline_rows,
                        alpha=ALPHA,
                    )
                )
                for _ in range(times)
            ]
            rows.append(("accuracy", truth, f"{offline_rows:,}", share(alarms)))
    for gap in (0.5, 1.5):
        alarms = []
        for _ in range(times):
            y = generator.random(7_000) < 0.3
            score = 1 / (1 + np.exp(-generator.normal(size=7_000) - gap * y))
            _, low, _ = auc_interval(score[:2_000], y[:2_000], 1 - ALPHA)
            found = auc_degraded(score[2_000:], y[2_000:], low, alpha=ALPHA)
            alarms.append(_ever(found))
        rows.append(("ROC AUC", f"{gap:g} sd apart", "2,000", share(alarms)))
    table(
        f"**Performance: share of {times:,} stationary streams ever called degraded,"
        f" alpha {ALPHA}**",
        ("metric", "truth", "test rows", "alarms"),
        rows,
    )


def _ever(found: Degradation) -> bool:
    """Whether a version is called degraded, or was and has recovered."""
    return found.degraded or found.since > 0


def contract(times: int, generator: Generator) -> None:
    """Weekly tables of every kind of column, of ids and of dates that grow."""
    rows = []
    for size in (200, 1_000, 10_000):
        weeks = max(times * 200 // size, 20)
        errors = warnings = 0
        learnt = None
        for week in range(weeks):
            frame = pd.DataFrame(
                {name: draw(generator, size) for name, draw in COLUMNS.items()}
            )
            first = week * size
            frame["id"] = [f"C{number:07}" for number in range(first, first + size)]
            days = pd.Timestamp("2026-01-01") + pd.to_timedelta(
                7 * week + generator.integers(0, 7, size), "D"
            )
            frame["day"] = days.strftime("%Y-%m-%d")
            if learnt is not None:
                found = [item.severity for item in learnt.compare(frame)]
                errors += "error" in found
                warnings += "warning" in found
            learnt = Contract.learn(frame)
        rows.append(
            (f"{size:,}", weeks, share([errors / weeks]), share([warnings / weeks]))
        )
    table(
        "**Contract: share of weeks that stop a training, and that are warned of**",
        ("rows a week", "weeks", "stopped", "warned"),
        rows,
    )


def share(flags: Iterable[float]) -> str:
    """A share with three decimals."""
    return f"{np.mean([*flags]):.3f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1_000, help="windows, streams")
    times = parser.parse_args().times
    generator = np.random.default_rng(0)
    for print_table in (drift, performance, contract):
        print_table(times, generator)


if __name__ == "__main__":
    main()
