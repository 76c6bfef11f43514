"""``predict`` and ``feedback`` of a model of several classes and of a number."""

import csv
import io
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from ml_assets.lifecycle.compaction import compact
from ml_assets.records.plan import Interval
from ml_assets.state.logged import labels
from ml_assets_tests.kits.cli import VERSION, in_service, invoke
from ml_assets_tests.kits.prediction_log import NOON, prediction_id
from ml_assets_tests.kits.task_versions import (
    CLASSES,
    DEMAND,
    ROWS,
    TICKETS,
    answers,
    write_version,
)

BODY = json.dumps(ROWS)
ID = f"{prediction_id(NOON, 1)[:24]}00000000abcd"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    write_version(root, "tickets", TICKETS)
    write_version(root, "demand", DEMAND)
    return root


@pytest.fixture
def expected(made: Path, home: Path) -> dict[str, list[object]]:
    """What the library answers; both models are in service."""
    from ml_assets.core.digests import digests
    from ml_assets.records.plan import Arm

    found = {}
    for model in ("tickets", "demand"):
        bundle = home / "versions" / model / VERSION / "bundle"
        shutil.copytree(made / "bundles" / model, bundle)
        files = digests(bundle)
        in_service(home, model, VERSION, files, "compiled")
        arm = Arm(version=VERSION, bundle=str(bundle), files=files, runtime="compiled")
        found[model] = answers(home, arm, ROWS)
    return found


def test_json_holds_the_probabilities_of_all_classes(expected) -> None:
    document = json.loads(invoke("predict", "tickets", "--json", stdin=BODY).stdout)
    found = document["predictions"]
    for item, answer in zip(found, expected["tickets"], strict=True):
        assert [*item] == ["row", "id", "probability", "label", "probabilities"]
        assert item["probabilities"] == dict(zip(CLASSES, answer, strict=True))
        assert item["label"] == CLASSES[answer.index(max(answer))]


def test_values_are_printed_in_each_format(expected) -> None:
    values = expected["demand"]
    document = json.loads(invoke("predict", "demand", "--json", stdin=BODY).stdout)
    assert [*document["predictions"][0]] == ["row", "id", "value"]
    assert [item["value"] for item in document["predictions"]] == values
    text = invoke("predict", "demand", "--output", "csv", stdin=BODY).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [*rows[0]] == ["row", "value", "id"]
    assert [float(row["value"]) for row in rows] == values
    table = invoke("predict", "demand", stdin=BODY).stdout.splitlines()
    assert table[0].split() == ["row", "value", "id"]
    assert table[1].split()[:2] == ["1", f"{values[0]:.6f}"]


@pytest.fixture
def bounded(made: Path, home: Path) -> None:
    """A version in service whose values have intervals."""
    from ml_assets.core.digests import digests

    bundle = home / "versions/bounded" / VERSION / "bundle"
    interval = Interval(level=0.9, half_width=2.5, rows=300)
    signature = msgspec.structs.replace(DEMAND, interval=interval)
    write_version(made, "bounded", signature)
    shutil.copytree(made / "bundles/bounded", bundle)
    in_service(home, "bounded", VERSION, digests(bundle), "compiled")


def test_the_ends_of_intervals_are_printed_in_each_format(bounded) -> None:
    document = json.loads(invoke("predict", "bounded", "--json", stdin=BODY).stdout)
    first = document["predictions"][0]
    assert [*first] == ["row", "id", "value", "lower", "upper"]
    value = first["value"]
    assert (first["lower"], first["upper"]) == (value - 2.5, value + 2.5)
    options = ("--output", "csv", "--on-error", "collect")
    body = json.dumps([*ROWS, {"age": 1.0, "plan": "none"}])
    text = invoke("predict", "bounded", *options, stdin=body).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [*rows[0]] == ["row", "value", "lower", "upper", "id", "error"]
    assert float(rows[0]["upper"]) == value + 2.5 and rows[0]["error"] == ""
    assert rows[-1]["lower"] == "" and "expected one of" in rows[-1]["error"]
    table = invoke("predict", "bounded", stdin=BODY).stdout.splitlines()
    assert table[0].split() == ["row", "value", "lower", "upper", "id"]
    shown = [f"{number:.6f}" for number in (value, value - 2.5, value + 2.5)]
    assert table[1].split()[:4] == ["1", *shown]


@pytest.mark.parametrize("output", ["table", "csv"])
def test_a_refused_row_has_its_place_among_values(expected, output) -> None:
    body = json.dumps([*ROWS, {"age": 1.0, "plan": "none"}])
    options = ("--on-error", "collect", "--output", output)
    found = invoke("predict", "demand", *options, stdin=body)
    assert found.exit_code == 0
    assert "expected one of 'big', 'small'" in found.stdout.splitlines()[-1]


def handed_in(model: str, file: Path, cell: str):
    file.write_text(f"id,label\n{ID},{cell}\n")
    return invoke("feedback", model, str(file))


def test_feedback_takes_numbers_of_a_regression(expected, tmp_path) -> None:
    done = handed_in("demand", tmp_path / "labels.csv", "40.25")
    assert done.exit_code == 0, done.output
    compact("demand", "labels")
    assert labels("demand")["label"].tolist() == ["40.25"]


@pytest.mark.parametrize("cell", ["much", "nan", "inf"])
def test_feedback_refuses_what_is_no_number(expected, tmp_path, cell) -> None:
    done = handed_in("demand", tmp_path / "labels.csv", cell)
    assert done.exit_code == 1
    assert f"row 1: expected the label a finite number, found {cell}" in done.output


def test_feedback_takes_one_of_the_classes(expected, tmp_path) -> None:
    assert handed_in("tickets", tmp_path / "labels.csv", "other").exit_code == 0
    done = handed_in("tickets", tmp_path / "labels.csv", "lost")
    assert "expected the label billing or delivery or other, found lost" in done.output
