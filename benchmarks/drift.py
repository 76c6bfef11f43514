"""Drift: false alarms on windows without any, an injected shift found, and speed.

    python -m benchmarks.drift

Windows are drawn from Adult (directory ML_ASSETS_TEST_DATA; seeded rows like it where
that is unset): one half is the reference, windows come from the other.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.drift import DriftReport, compare
from ml_assets.ml.profile import Profile, profile

Generator = np.random.Generator
Change = Callable[[pd.DataFrame, Generator], pd.DataFrame]
ALPHA = 0.05
COLUMNS = (
    "age workclass fnlwgt education education_num marital_status occupation"
    " relationship race sex capital_gain capital_loss hours_per_week native_country"
).split()
CATEGORIES = {
    "workclass": 9,
    "education": 16,
    "marital_status": 7,
    "occupation": 15,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "native_country": 42,
}


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print one table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def census(directory: str | None, generator: Generator) -> pd.DataFrame:
    """Adult, with a column that stands for predicted probabilities."""
    if directory is None:
        print("ML_ASSETS_TEST_DATA is not set: seeded rows stand in for Adult")
        frame = census_like(32_000, generator)
    else:
        path = Path(directory) / "adult-train.csv"
        names = [*COLUMNS, "income"]
        frame = pd.read_csv(path, names=names, skipinitialspace=True, na_values="?")
        frame = frame[COLUMNS]
    return frame.assign(probability=probabilities(frame))


def census_like(rows: int, generator: Generator) -> pd.DataFrame:
    """Six numeric and eight categorical columns."""
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in CATEGORIES:
            size = CATEGORIES[name]
            codes = np.minimum(generator.geometric(0.3, rows) - 1, size - 1)
            labels = pd.Index([f"{name} {i}" for i in range(size)])
            columns[name] = pd.Categorical.from_codes(codes.astype(np.int64), labels)
        else:
            columns[name] = generator.gamma(4.0, 10.0, rows).round()
    return pd.DataFrame(columns)


def probabilities(frame: pd.DataFrame) -> NDArray[np.float64]:
    """What a model might predict: more with age, education and hours."""
    z = (
        0.04 * frame["age"]
        + 0.3 * frame["education_num"]
        + 0.03 * frame["hours_per_week"]
        - 7.5
    )
    return np.asarray(1 / (1 + np.exp(-z)), dtype=np.float64)


def false_alarms(frame: pd.DataFrame, repeats: int, generator: Generator) -> None:
    """Windows from the half that the reference does not describe."""
    rows = []
    for size in (100, 200, 1_000, 10_000):
        reports = [
            _window(reference, other, size, generator)
            for reference, other in _halves(frame, repeats, generator)
        ]
        raw = [any(c.psi >= 0.1 for c in report.columns) for report in reports]
        tests = [any(c.p_adjusted <= ALPHA for c in r.columns) for r in reports]
        both = [report.drifted for report in reports]
        noise = np.mean([c.psi for report in reports for c in report.columns])
        shares = (f"{np.mean(alarms):.3f}" for alarms in (raw, tests, both))
        rows.append((f"{size:,}", f"{noise:.3f}", *shares))
    header = ("rows", "mean PSI", "PSI >= 0.1 alone", "adjusted test alone", "report")
    title = f"False alarms in {repeats} windows without drift, alpha {ALPHA}"
    table(title, header, rows)


def detection(frame: pd.DataFrame, repeats: int, generator: Generator) -> None:
    """Windows with one injected change each."""
    changes: dict[str, tuple[str, Change]] = {
        "age + 4 years (0.3 sd)": ("age", _older(4)),
        "age + 7 years (0.5 sd)": ("age", _older(7)),
        "age missing in 10 %": ("age", _missing),
        "5 % of sex unseen": ("sex", _unseen),
        "workclass: half of Private moves": ("workclass", _moved),
    }
    rows = []
    for name, (column, change) in changes.items():
        found = []
        for size in (200, 1_000, 10_000):
            reports = [
                _window(reference, other, size, generator, change)
                for reference, other in _halves(frame, repeats, generator)
            ]
            hits = [
                any(c.drifted and c.column == column for c in report.columns)
                for report in reports
            ]
            found.append(f"{np.mean(hits):.2f}")
        rows.append((name, *found))
    header = ("change", "200 rows", "1,000 rows", "10,000 rows")
    table(f"Share of {repeats} windows in which the change is found", header, rows)


def speed(rows: int, generator: Generator) -> None:
    """Fifteen columns, predictions among them; best of three."""
    frame = census_like(rows, generator)
    chance = probabilities(frame)
    reference = profile(frame, chance)
    strings = frame.astype({n: "str" for n in reference.categories})
    lines = []
    for name, data in (("categories", frame), ("strings", strings)):
        best = min(_seconds(lambda: compare(reference, data, chance)) for _ in range(3))
        lines.append((name, f"{best:.2f}"))
    table(f"15 columns, {rows:,} rows", ("columns", "processor seconds"), lines)


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _halves(
    frame: pd.DataFrame, repeats: int, generator: Generator
) -> Iterable[tuple[Profile, pd.DataFrame]]:
    """A new division of the rows every tenth time; a profile takes a while."""
    for turn in range(repeats):
        if turn % 10 == 0:
            order = generator.permutation(len(frame))
            half = frame.iloc[order[: len(frame) // 2]]
            other = frame.iloc[order[len(frame) // 2 :]]
            reference = profile(half[COLUMNS], half["probability"].to_numpy())
        yield reference, other


def _window(
    reference: Profile,
    other: pd.DataFrame,
    size: int,
    generator: Generator,
    change: Change | None = None,
) -> DriftReport:
    rows = other.iloc[generator.choice(len(other), size, replace=False)]
    if change is not None:
        rows = change(rows.copy(), generator)
    return compare(reference, rows, rows["probability"].to_numpy(), alpha=ALPHA)


def _older(years: int) -> Change:
    return lambda rows, _: rows.assign(age=rows["age"] + years)


def _missing(rows: pd.DataFrame, generator: Generator) -> pd.DataFrame:
    return rows.assign(age=rows["age"].where(generator.random(len(rows)) >= 0.1))


def _unseen(rows: pd.DataFrame, generator: Generator) -> pd.DataFrame:
    kept = generator.random(len(rows)) >= 0.05
    return rows.assign(sex=rows["sex"].astype(object).where(kept, "unknown"))


def _moved(rows: pd.DataFrame, generator: Generator) -> pd.DataFrame:
    common = rows["workclass"].mode()[0]
    kept = (rows["workclass"] != common) | (generator.random(len(rows)) >= 0.5)
    other = rows["workclass"].value_counts().index[1]
    return rows.assign(workclass=rows["workclass"].astype(object).where(kept, other))


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    frame = census(os.environ.get("ML_ASSETS_TEST_DATA"), generator)
    false_alarms(frame, options.repeats, generator)
    detection(frame, options.repeats // 4, generator)
    speed(options.rows, generator)


if __name__ == "__main__":
    main()
