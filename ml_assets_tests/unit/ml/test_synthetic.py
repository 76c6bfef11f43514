"""Generated rows: repeatable, learnable, and shifted on request."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.synthetic import synthetic
from ml_assets.ml.tables import check_target, content_hash, tidy


def test_the_same_arguments_give_the_same_table() -> None:
    assert content_hash(synthetic(500, 7, 0.3)) == content_hash(synthetic(500, 7, 0.3))


@pytest.mark.parametrize(
    "rows, seed, drift", [(501, 7, 0.3), (500, 8, 0.3), (500, 7, 0)]
)
def test_other_arguments_give_another_table(rows: int, seed: int, drift: float) -> None:
    one, other = synthetic(500, 7, 0.3), synthetic(rows, seed, drift)
    assert content_hash(one) != content_hash(other)


def test_the_table_is_tidy_and_of_mixed_types() -> None:
    table = synthetic(1000)
    pd.testing.assert_frame_equal(tidy(table), table)
    check_target(table, "churned")
    kinds = set(table.dtypes.astype(str))
    assert kinds == {"int64", "float64", "bool", "category"}
    assert table.isna().any().sum() == 4


def test_boosting_learns_it_to_about_85_percent() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = synthetic(12_000, seed=1)
    inputs, outcome = table.drop(columns="churned"), table["churned"]
    model = HistGradientBoostingClassifier(categorical_features="from_dtype")
    model.fit(inputs[:10_000], outcome[:10_000])
    accuracy = model.score(inputs[10_000:], outcome[10_000:])
    assert 0.83 <= accuracy <= 0.87
    assert outcome.value_counts(normalize=True).max() < 0.72


@pytest.mark.parametrize("drift", [0.0, 0.5, 1.0])
def test_drift_shifts_the_inputs_by_standard_deviations(drift: float) -> None:
    still, moved = synthetic(20_000), synthetic(20_000, drift=drift)
    for column in ("satisfaction", "monthly_charge"):
        shift = (moved[column].mean() - still[column].mean()) / still[column].std()
        assert shift == pytest.approx(drift, abs=0.06)
    log_shift = (
        np.log(moved["usage_hours"]).mean() - np.log(still["usage_hours"]).mean()
    )
    assert log_shift / np.log(still["usage_hours"]).std() == pytest.approx(
        drift, abs=0.06
    )


def test_no_row_is_made_by_python_itself() -> None:
    """So a million of them take a second of one core, and not minutes."""

    def calls(rows: int) -> int:
        counted = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            table = synthetic(rows)
        finally:
            sys.setprofile(None)
        assert len(table) == rows
        return counted

    # The first of all calls may import something.
    synthetic(10)
    assert calls(200_000) == calls(1_000)
