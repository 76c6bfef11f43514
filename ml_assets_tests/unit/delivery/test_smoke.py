"""What the smoke run finds in the data of the models that are there."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ml_assets.assets.release_smoke import broken_rules, try_pipeline
from ml_assets.core.storage import storage
from ml_assets.state.tables import Tables, table_name
from ml_assets_tests.kits.records import add_version

RULE = {
    "expect_column_values_to_be_between": {
        "column": "age",
        "min_value": 0,
        "max_value": 120,
    }
}


def keep(root: Path, version: str, ages: list[int]) -> None:
    """A version that was trained on rows of these ages."""
    record = add_version(root, version)
    store, frame = Tables(), pd.DataFrame({"age": ages})
    frame.attrs["data_version"] = record.raw_version
    storage().remove([table_name("churn", "raw", record.raw_version)])
    store.write("churn", "raw", record.run_id, frame)


@pytest.mark.parametrize("ages, faults", [([20, 30], 0), ([20, 300], 1)])
def test_the_newest_data_of_a_model_is_put_to_todays_rules(
    tmp_path: Path, make_spec: Any, ages: list[int], faults: int
) -> None:
    keep(tmp_path, "20261101T020000Z", [999])
    keep(tmp_path, "20261108T020000Z", ages)
    found = broken_rules([make_spec(expect=[RULE])])
    assert len(found) == faults
    assert all("churn 20261108T020000Z: " in text and "age" in text for text in found)


def test_a_model_without_data_breaks_no_rule(tmp_path: Path, make_spec: Any) -> None:
    assert broken_rules([make_spec(expect=[RULE])]) == []


def test_the_pipeline_in_small_learns_and_is_served_compiled(tmp_path: Path) -> None:
    found = try_pipeline(tmp_path / "bundle")
    assert found.accuracy > found.majority > 0.5
    assert found.runtime == "compiled"
