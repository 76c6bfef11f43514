"""Expectations over Adult-like rows: Great Expectations as it comes, and as run here.

    python -m benchmarks.validation --rows 1000000

The same 41 rules, of which three fail, are evaluated on strings and on categories:
with Great Expectations' SUMMARY results, as its users usually ask for, and by
`ml_assets.quality.run_expectations`. Each line is the best of some passes in
processor seconds, which a busy machine does not change; read the ratios.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.quality import run_expectations
from ml_assets.spec import expectation_library as library
from ml_assets.spec.expectations import build

# Column: largest value of a uniform integer.
NUMBERS = {
    "age": 90,
    "fnlwgt": 1_500_000,
    "education_num": 16,
    "capital_gain": 99_999,
    "capital_loss": 4_356,
    "hours_per_week": 99,
}
# Column: number of categories.
STRINGS = {
    "workclass": 8,
    "education": 16,
    "marital_status": 7,
    "occupation": 14,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "native_country": 41,
    "income": 2,
}


def adult_like(rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows like Adult, strings as objects, 5 % of two columns missing."""
    generator = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        name: generator.integers(0, high, rows) for name, high in NUMBERS.items()
    }
    for name, count in STRINGS.items():
        values = np.array(categories(name, count), dtype=object)
        column = values[generator.integers(0, count, rows)]
        if name in ("workclass", "occupation"):
            column[generator.random(rows) < 0.05] = None
        columns[name] = pd.Series(column, dtype=object)
    return pd.DataFrame(columns)


def categories(name: str, count: int) -> list[str]:
    """The values of a string column."""
    return [f"{name}-{number:02d}" for number in range(count)]


def expectations() -> list[dict[str, dict[str, Any]]]:
    """41 rules: of the values, of the missing ones, and of the whole table."""
    rules = [{"expect_table_row_count_to_be_between": {"min_value": 1}}]
    rules.append(_rule("mean_to_be_between", "age", min_value=0, max_value=90))
    for name, high in NUMBERS.items():
        # One rule of all fails for a few: some ages are above 85.
        top = 85 if name == "age" else high
        rules.append(_rule("values_to_not_be_null", name))
        rules.append(_rule("values_to_be_between", name, min_value=0, max_value=top))
    for name, count in STRINGS.items():
        known = categories(name, count)
        # Another fails for more: one native country is not in the set.
        known = known[1:] if name == "native_country" else known
        rules.append(_rule("values_to_be_in_set", name, value_set=known))
        rules.append(_rule("values_to_match_regex", name, regex=f"^{name}-"))
    for name in ("education", "marital_status", "relationship", "race", "sex"):
        rules.append(_rule("value_lengths_to_be_between", name, min_value=1))
    # The third: 5 % of the occupations are missing.
    for name in ("education", "marital_status", "income", "occupation"):
        rules.append(_rule("values_to_not_be_null", name))
    return rules


def _rule(rule: str, column: str, **keywords: Any) -> dict[str, dict[str, Any]]:
    return {f"expect_column_{rule}": {"column": column, **keywords}}


def as_it_comes(frame: pd.DataFrame, rules: Sequence[dict[str, Any]]) -> list[bool]:
    """Great Expectations with SUMMARY results; whether each rule holds, sorted."""
    gx = library.great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    definition = asset.add_batch_definition_whole_dataframe("all")
    batch = definition.get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="all", expectations=[build(r) for r in rules])
    results = batch.validate(suite, result_format="SUMMARY").results
    return sorted(bool(result.success) for result in results)


def ours(frame: pd.DataFrame, rules: Sequence[dict[str, Any]]) -> list[bool]:
    """`run_expectations`; whether each rule holds, sorted."""
    return sorted(outcome.passed for outcome in run_expectations(frame, rules))


def main() -> None:
    """Print processor seconds, and how often they fit into the first line's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="passes of each")
    options = parser.parse_args()
    rows = options.rows

    rules = expectations()
    objects = adult_like(rows)
    strings = objects.astype(dict.fromkeys(STRINGS, "str"))
    category = objects.astype(dict.fromkeys(STRINGS, "category"))
    runs: list[tuple[str, Callable[..., list[bool]], pd.DataFrame]] = [
        ("object, SUMMARY", as_it_comes, objects),
        ("str, SUMMARY", as_it_comes, strings),
        ("category, SUMMARY", as_it_comes, category),
        ("object, ours", ours, objects),
        ("str, ours", ours, strings),
        ("category, ours", ours, category),
    ]
    # The first pass of all pays for imports.
    expected = ours(category.head(100), rules) and as_it_comes(category, rules)
    print(f"{rows:,} rows, {len(rules)} expectations")
    first = 0.0
    for name, run, frame in runs:
        passes = []
        for _ in range(options.repeat):
            start = time.process_time()
            verdicts = run(frame, rules)
            passes.append(time.process_time() - start)
            if verdicts != expected:
                raise SystemExit(f"{name}: other verdicts than the first pass")
        seconds = min(passes)
        first = first or seconds
        print(f"{name:20} {seconds:7.2f} s {first / seconds:6.1f}x")


if __name__ == "__main__":
    main()
