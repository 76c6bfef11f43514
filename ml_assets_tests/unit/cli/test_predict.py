"""Predictions from the plan in force: values, formats, and refusals."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.cli_kit import VERSION, deploy_small_model, invoke

CSV = "age,sex\n41,f\n,m\n55,NA\n"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    deploy_small_model(root)
    return root


@pytest.fixture(autouse=True)
def storage(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(deployed))
    yield deployed


def test_a_csv_is_scored_row_by_row() -> None:
    result = invoke("predict", "income", "--output", "csv", stdin=CSV)
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["row"] for row in rows] == ["1", "2", "3"]
    assert {row["label"] for row in rows} <= {"yes", "no"}


def test_csv_and_json_give_the_same_probabilities() -> None:
    body = [
        {"age": 41, "sex": "f"},
        {"age": None, "sex": "m"},
        {"age": 55, "sex": "NA"},
    ]
    found = [
        [item["probability"] for item in json.loads(result.stdout)["predictions"]]
        for result in (
            invoke("predict", "income", "--json", stdin=CSV),
            invoke("predict", "income", "--json", stdin=json.dumps(body)),
        )
    ]
    assert found[0] == found[1]


def test_json_has_its_documented_keys() -> None:
    document = json.loads(invoke("predict", "income", "--json", stdin=CSV).stdout)
    assert list(document) == ["model", "version", "predictions", "rows", "error"]
    assert (document["model"], document["version"]) == ("income", VERSION)
    assert list(document["predictions"][0]) == ["row", "id", "probability", "label"]
    assert (document["rows"], document["error"]) == (3, None)


def test_a_table_says_what_answers_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(CSV)
    result = invoke("predict", "income", str(file))
    assert f"income version {VERSION}" in result.stderr
    assert len(result.stdout.splitlines()) == 4


def test_chunks_do_not_change_the_answers() -> None:
    many = CSV + "41,f\n" * 50
    whole = json.loads(invoke("predict", "income", "--json", stdin=many).stdout)
    parts = json.loads(
        invoke("predict", "income", "--json", "--chunk", "7", stdin=many).stdout
    )
    assert [p["probability"] for p in whole["predictions"]] == [
        p["probability"] for p in parts["predictions"]
    ]


@pytest.mark.parametrize(
    "rows, message",
    [
        ("age,sex\nold,f\n", "row 1, column 'age': expected a number or null"),
        ("age,sex\n1,x\n", "row 1, column 'sex': expected one of"),
        ("age\n1\n", "row 1, column 'sex'"),
        ("age,sex,income\n1,f,no\n", "--ignore-unknown"),
        ("age,sex\n", "there are no rows to score"),
        ("", "there are no rows to score"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: str, message: str) -> None:
    result = invoke("predict", "income", "--format", "csv", stdin=rows)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_late_refusal_counts_rows_from_the_start_of_the_file() -> None:
    rows = "age,sex\n" + "41,f\n" * 5 + "old,f\n"
    result = invoke("predict", "income", "--chunk", "2", "--json", stdin=rows)
    assert result.exit_code == 1
    assert "row 6, column 'age'" in result.stderr
    document = json.loads(result.stdout)
    assert document["rows"] == 4
    assert "row 6" in document["error"]


def test_the_same_fault_of_every_row_is_told_once() -> None:
    result = invoke("predict", "income", stdin="age,sex,income\n" + "1,f,no\n" * 9)
    assert result.stderr.count("'income'") == 1


def test_unknown_columns_are_left_out_on_request() -> None:
    rows = "age,sex,income\n41,f,no\n"
    assert invoke("predict", "income", "--ignore-unknown", stdin=rows).exit_code == 0


def test_a_model_that_nobody_knows_is_refused_with_those_that_there_are() -> None:
    result = invoke("predict", "incom", stdin=CSV)
    assert result.exit_code == 1
    assert "there is no model incom" in result.stderr
    assert "income" in result.stderr


def test_a_model_that_was_never_deployed_says_how_to_deploy_it() -> None:
    result = invoke("predict", "breast_cancer", stdin=CSV)
    assert result.exit_code == 1
    assert "ml-assets deploy breast_cancer" in result.stderr


def test_a_bundle_that_was_altered_is_not_loaded(
    tmp_path: Path, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(storage, copy)
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(copy))
    (copy / f"versions/income/{VERSION}/bundle/probe.json").write_text("{}")
    result = invoke("predict", "income", stdin=CSV)
    assert result.exit_code == 1
    assert "cannot be loaded" in result.stderr


@pytest.mark.parametrize(
    "url, code, message",
    [
        ("localhost:8080", 2, "the server must be an address such as"),
        ("http://127.0.0.1:1", 1, "no model server answers at http://127.0.0.1:1"),
    ],
)
def test_a_server_that_cannot_be_asked_is_named(
    url: str, code: int, message: str
) -> None:
    result = invoke("predict", "income", "--url", url, stdin=CSV)
    assert result.exit_code == code
    assert message in result.stderr


def test_a_missing_file_is_wrong_usage() -> None:
    assert invoke("predict", "income", "nowhere.csv").exit_code == 2
