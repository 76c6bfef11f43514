"""``ml-assets feedback`` and ``experiment``: their input and their output."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from ml_assets.core.storage import storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.prediction_log.segments import waiting
from ml_assets.state.logged import labels
from ml_assets_tests.kits.cli import deploy_small_model, in_service, invoke
from ml_assets_tests.kits.prediction_log import NOON, prediction_id

# Fixed to the last digit: it stands in the names of tests.
ID = f"{prediction_id(NOON, 1)[:24]}00000000abcd"


@pytest.fixture
def deployed(home: Path) -> Path:
    deploy_small_model(home)
    return home


def handed_in() -> list[tuple[str | None, str | None, float | None, str]]:
    compact("income", "labels")
    found = labels("income").astype(object)
    found = found.where(found.notna(), None)
    return list(found[["id", "entity", "time", "label"]].itertuples(index=False))


@pytest.mark.parametrize(
    "text, row",
    [
        (f"id,label\n{ID},yes\n", (ID, None, None, "yes")),
        ("entity,time,label\np1,1700000000,no\n", (None, "p1", 1.7e9, "no")),
        (
            "entity,time,label\np1,2026-11-23T12:00:00Z,no\n",
            (None, "p1", NOON, "no"),
        ),
        (
            "entity,time,label\np1,2026-11-23 14:00+02:00,no\n",
            (None, "p1", NOON, "no"),
        ),
        (f"id,entity,time,label\n{ID},,,no\n", (ID, None, None, "no")),
    ],
)
def test_a_label_is_handed_in(
    deployed: Path, tmp_path: Path, text: str, row: tuple[object, ...]
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    done = invoke("feedback", "income", str(file), "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["labels"] == 1
    (segment,) = waiting(storage(), "income", "labels")
    assert segment.name == f"segments/income/{document['segment']}"
    assert handed_in() == [row]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_other_formats_hold_the_same(
    deployed: Path, tmp_path: Path, suffix: str
) -> None:
    frame = pd.DataFrame({"id": [ID, ID], "label": ["yes", "no"]})
    file = tmp_path / f"labels.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(file)
    else:
        frame.to_json(file, orient="records", lines=True)
    assert invoke("feedback", "income", str(file)).exit_code == 0
    assert [row[3] for row in handed_in()] == ["yes", "no"]


@pytest.mark.parametrize(
    "text, message",
    [
        (f"id,label\n{ID},yes\n{ID},maybe\n", "row 2: expected the label no or yes"),
        ("id,label\n17,yes\n", "row 1: expected a UUIDv7, found '17'"),
        ("entity,label\np1,yes\n", "row 1: expected id and label, or entity, time"),
        (f"id,truth\n{ID},yes\n", "found the column truth"),
        ("entity,time,label\np,noon,no\n", "expected a time in ISO 8601"),
        ("entity,time,label\np,1700000000000,no\n", "row 1: .*milliseconds"),
        ("entity,time,label\np,20261127,no\n", "row 1: .*looks like a date"),
        ("entity,time,label\np,nan,no\n", "row 1: .*not finite"),
        ("entity,time,label\np,9999-01-01,no\n", "row 1: .*in the future"),
        ("id,label\n", "the file holds no labels"),
    ],
)
def test_a_file_with_a_wrong_row_is_refused_whole(
    deployed: Path, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    done = invoke("feedback", "income", str(file))
    assert done.exit_code == 1 and re.search(message, done.stderr)
    assert not list(waiting(storage(), "income", "labels"))


def test_a_model_that_was_never_deployed_has_nothing_to_label(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"id,label\n{ID},1\n")
    done = invoke("feedback", "breast_cancer", str(file))
    assert done.exit_code == 1
    assert "breast_cancer was never deployed" in done.stderr


def test_without_a_challenger_there_is_no_experiment(home: Path) -> None:
    in_service(home, "income", "v1")
    assert invoke("experiment", "income").stdout == (
        "income has no challenger; v1 serves alone\n"
    )
    document = json.loads(invoke("experiment", "income", "--json").stdout)
    assert document == {"model": "income", "experiment": None}
