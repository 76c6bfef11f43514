"""What a full loop leaves in the event log: no value of a row, and few bytes."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
# Before plots and previews were files, a training left 608,486 bytes of events.
TRAINING, OTHERS = 100_000, 60_000
# A value that stands in rows and nowhere else, and numbers that none of ours is.
MARK, ODD = "mark7f3a", 7919.0625


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with its databases on the disk."""
    (home / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as found:
        yield found


def events(home: Path) -> dict[str, str]:
    """All that the event log has of each run, as it is on the disk."""
    found = {}
    for path in (home / "dagster").rglob("*.db"):
        if len(path.stem) == 36:
            with sqlite3.connect(path) as database:
                rows = database.execute("SELECT event FROM event_logs").fetchall()
            found[path.stem] = "".join(text for (text,) in rows)
    return found


def write_rows(path: Path, mark: str = MARK, odd: float = ODD) -> None:
    rows = [
        f"{mark}-{n % 7},{n},{odd if n % 40 == 3 else n * 1.5},{('no', 'yes')[n % 2]}"
        for n in range(400)
    ]
    path.write_text("\n".join(["city,age,paid,churned", *rows]))


def test_a_full_loop_leaves_few_bytes_and_its_plots_as_files(
    make_spec: Any, run_job: Run, home: Path, instance: dg.DagsterInstance
) -> None:
    spec = make_spec(
        source={"type": "synthetic", "rows": 3_000},
        expect=[{"expect_column_values_to_not_be_null": {"column": "churned"}}],
    )
    runs = {}
    for job in ("train", "deploy", "monitor", "retention"):
        done = run_job(spec, job)
        assert done.success, failure_of(done)
        runs[job] = done.run_id
    sizes = {job: len(events(home)[run_id]) for job, run_id in runs.items()}
    assert sizes.pop("train") < TRAINING
    assert max(sizes.values()) < OTHERS, sizes
    (version,) = Versions().names("churn")
    plots = home / "versions/churn" / version / "plots"
    assert {path.stem for path in plots.glob("*.png")} >= {"roc", "calibration"}
    assert str(plots / "roc.png") in events(home)[runs["train"]]
    assert "base64" not in events(home)[runs["train"]]


RULES: dict[str, list[dict[str, Any]]] = {
    "a preview of a table": [],
    "values that are not in a set": [
        {"expect_column_values_to_be_in_set": {"column": "city", "value_set": ["b"]}}
    ],
    "values out of a range": [
        {"expect_column_values_to_be_between": {"column": "paid", "max_value": 9}}
    ],
    "values that match no pattern": [
        {"expect_column_values_to_match_regex": {"column": "city", "regex": "^z"}}
    ],
    "values that are not unique": [
        {"expect_column_values_to_be_unique": {"column": "city"}}
    ],
    "the set of distinct values": [
        {
            "expect_column_distinct_values_to_be_in_set": {
                "column": "city",
                "value_set": ["b"],
            }
        }
    ],
    "the most common value": [
        {
            "expect_column_most_common_value_to_be_in_set": {
                "column": "city",
                "value_set": ["b"],
            }
        }
    ],
    "the highest value": [
        {"expect_column_max_to_be_between": {"column": "paid", "max_value": 9}}
    ],
    "pairs of values": [
        {
            "expect_column_pair_values_to_be_equal": {
                "column_A": "city",
                "column_B": "churned",
            }
        }
    ],
    "values that are no dates": [
        {"expect_column_values_to_be_dateutil_parseable": {"column": "city"}}
    ],
}


@pytest.mark.parametrize("rules", RULES.values(), ids=[*RULES])
def test_no_value_of_a_row_is_in_the_event_log(
    rules: list[dict[str, Any]],
    make_spec: Any,
    run_job: Run,
    home: Path,
    tmp_path: Path,
    instance: dg.DagsterInstance,
) -> None:
    write_rows(tmp_path / "rows.csv")
    source = {"type": "csv", "path": str(tmp_path / "rows.csv")}
    done = run_job(make_spec(source=source, expect=rules), "train")
    assert done.success is not bool(rules), failure_of(done)
    text = events(home)[done.run_id]
    assert text and MARK not in text and str(ODD) not in text
    kept = "".join(p.read_text() for p in (home / "reports").rglob("*.json"))
    # Who may see the data finds in the report's file what broke the rule.
    assert not rules or MARK in kept or str(ODD) in kept


@pytest.mark.parametrize(
    "mark, odd",
    [("mark9b1c", ODD), (MARK, 123_456_789.25)],
    ids=["categories that were never seen", "numbers far out of their range"],
)
def test_what_breaks_the_contract_is_reported_without_its_values(
    mark: str,
    odd: float,
    make_spec: Any,
    run_job: Run,
    home: Path,
    tmp_path: Path,
    instance: dg.DagsterInstance,
) -> None:
    path = tmp_path / "rows.csv"
    spec = make_spec(source={"type": "csv", "path": str(path)})
    write_rows(path)
    assert run_job(spec, "train").success
    write_rows(path, mark, odd)
    done = run_job(spec, "train")
    (contract,) = [
        item
        for item in done.get_asset_check_evaluations()
        if item.check_name == "schema_contract"
    ]
    assert not contract.passed and "column " in str(contract.description)
    text = events(home)[done.run_id]
    assert MARK not in text and mark not in text and f"{odd:g}" not in text
