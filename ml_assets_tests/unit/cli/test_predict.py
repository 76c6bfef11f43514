"""Predictions from the active plan: values, formats, and refusals."""

import csv
import io
import json
from pathlib import Path

import pytest

from ml_assets.cli.client import Answer
from ml_assets.cli.scorers import (
    Prediction,
    Refusal,
    ServerScorer,
    outcomes,
    unseen_notes,
)
from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.problems import FieldError
from ml_assets_tests.kits.app import FakeRuntime, ask, served, server
from ml_assets_tests.kits.cli import (
    VERSION,
    deploy_small_model,
    deployed,
    invoke,
    storage,
)

__all__ = ["deployed", "storage"]
pytestmark = pytest.mark.usefixtures("storage")

CSV = "age,sex\n41,f\n,m\n55,NA\n"


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
    assert list(document) == [
        "model", "version", "predictions", "rows", "refused", "error",
    ]  # fmt: skip
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
    assert (document["rows"], document["predictions"]) == (0, [])
    assert "row 6" in document["error"]


@pytest.mark.parametrize(
    "row, message, output",
    [
        ("41,x", "column 'sex'", "csv"),
        ("old,f", "column 'age'", "json"),
        ("old,x", "column 'age'", "table"),
    ],
    ids=["an unknown category", "no number", "two faults"],
)
@pytest.mark.parametrize("at", [{701}, {1, 2, 3, 700, 1000}, {*range(60)}])
def test_rows_that_are_refused_end_no_batch(
    at: set[int], row: str, message: str, output: str
) -> None:
    lines = [row if n in at else f"{n % 90},f" for n in range(1, 1001)]
    rows = "age,sex\n" + "\n".join(lines) + "\n"
    asked = ("predict", "income", "--chunk", "300", "--output", output)
    bad = at - {0}
    result = invoke(*asked, stdin=rows)
    assert result.exit_code == 1 and f"row {min(bad)}" in result.stderr
    assert "41" not in result.stdout and "yes" not in result.stdout
    result = invoke(*asked, "--on-error", "skip", stdin=rows)
    assert result.exit_code == 0
    assert f"{len(bad)} of 1,000 rows are left out; row {min(bad)}" in result.stderr
    assert numbers(result.stdout, output) == sorted({*range(1, 1001)} - bad)
    result = invoke(*asked, "--on-error", "collect", stdin=rows)
    assert result.exit_code == 0 and message in result.stdout
    assert numbers(result.stdout, output) == [*range(1, 1001)]


def numbers(text: str, output: str) -> list[int]:
    """The numbers of the rows in an output."""
    if output == "json":
        return [item["row"] for item in json.loads(text)["predictions"]]
    lines = text.splitlines()[1:]
    return [int(line.replace(",", " ").split()[0]) for line in lines]


def test_answers_do_not_change_beside_rows_that_are_refused() -> None:
    clean = json.loads(invoke("predict", "income", "--json", stdin=CSV).stdout)
    mixed = "age,sex\nold,f\n" + CSV.partition("\n")[2] + "1,x\n"
    given = ("--json", "--on-error", "collect")
    found = json.loads(invoke("predict", "income", *given, stdin=mixed).stdout)
    assert (found["rows"], found["refused"], found["error"]) == (3, 2, None)
    answers = [item for item in found["predictions"] if "error" not in item]
    assert [item["row"] for item in answers] == [2, 3, 4]
    assert [item["probability"] for item in answers] == [
        item["probability"] for item in clean["predictions"]
    ]


@pytest.mark.parametrize("before", [None, "of yesterday"])
def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, before: str | None
) -> None:
    target = tmp_path / "scored.csv"
    if before:
        target.write_text(before)
    asked = ("predict", "income", "--output", "csv", "--to", str(target))
    late = "age,sex\n" + "41,f\n" * 5 + "old,f\n"
    assert invoke(*asked, "--chunk", "2", stdin=late).exit_code == 1
    assert (target.read_text() if target.exists() else None) == before
    assert invoke(*asked, stdin=CSV).exit_code == 0
    assert len(target.read_text().splitlines()) == 4
    assert [item.name for item in tmp_path.iterdir()] == ["scored.csv"]


class Fussy:
    """A scorer that refuses rows, and names none, some, or at most two of them."""

    model, version, columns = "m", "v", ()

    def __init__(self, names: int) -> None:
        self.names, self.asked = names, 0

    def score(self, body: bytes) -> list[Prediction]:
        self.asked += 1
        rows = json.loads(body)["rows"]
        bad = [n for n, row in enumerate(rows) if row["x"] < 0]
        if bad:
            named = bad[: self.names]
            errors = [FieldError(row=n, expected="x", found="y") for n in named]
            raise Refusal("no", errors)
        return [Prediction(str(row["x"]), 0.5, "yes") for row in rows]


@pytest.mark.parametrize("names", [0, 1, 2, 20])
@pytest.mark.parametrize("bad", [{7}, {0, 199}, {*range(0, 200, 3)}, {*range(200)}])
def test_each_row_has_its_own_outcome_however_few_a_refusal_names(
    names: int, bad: set[int]
) -> None:
    rows = [{"x": -1 if n in bad else n} for n in range(200)]
    found = outcomes(Fussy(names), rows)
    assert {n for n, item in enumerate(found) if isinstance(item, Refusal)} == bad
    answered = [item.id for item in found if isinstance(item, Prediction)]
    assert answered == [str(n) for n in range(200) if n not in bad]


def test_rows_that_are_all_refused_are_a_failure() -> None:
    for how in ("skip", "collect"):
        rows = "age,sex\nold,f\n"
        result = invoke("predict", "income", "--on-error", how, stdin=rows)
        assert result.exit_code == 1 and "all 1 rows are refused" in result.stderr


def test_a_csv_is_read_as_the_version_in_service_was_trained(storage: Path) -> None:
    usual = json.loads(invoke("predict", "income", "--json", stdin=CSV).stdout)
    configuration = storage / f"versions/income/{VERSION}/spec.json"
    read = {"separator": ";", "decimal": ",", "missing": ["-"], "skip_rows": 1}
    configuration.write_text(json.dumps({"source": {"read": read}}))
    try:
        rows = "of today\nage;sex\n41,0;f\n-;m\n55;NA\n"
        found = json.loads(invoke("predict", "income", "--json", stdin=rows).stdout)
    finally:
        configuration.unlink()
    assert [item["probability"] for item in found["predictions"]] == [
        item["probability"] for item in usual["predictions"]
    ]


def test_an_index_without_a_name_is_no_column() -> None:
    rows = ",age,sex\n0,41,f\n1,50,m\n"
    assert invoke("predict", "income", stdin=rows).exit_code == 0


def test_the_same_fault_of_every_row_is_named_once() -> None:
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
    # What is in the cache was verified when it came.
    shutil.copytree(storage, copy, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.setenv("ML_ASSETS_HOME", str(copy))
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


def test_rows_with_unseen_categories_are_answered_and_counted_by_column(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    deploy_small_model(tmp_path, unknown="accept")
    rows = "age,sex\n" + "41,f\n41,x\n" * 3

    table = invoke("predict", "income", "--chunk", "2", stdin=rows)
    answer = invoke("predict", "income", "--chunk", "2", "--json", stdin=rows)

    assert table.exit_code == 0, table.output
    assert "column 'sex': 3 rows hold a category that training did" in table.stderr
    document = json.loads(answer.stdout)
    assert (document["rows"], document["unseen"]) == (6, {"sex": 3})


def test_what_a_server_warns_of_is_counted_by_column() -> None:
    sex = Column(name="sex", kind="string", categories=("f", "m"), open=True)
    columns = (Column(name="age", kind="number"), sex)
    signature = Signature(columns=columns, target="y", negative=0, positive=1)
    app = server(served(runtime=FakeRuntime("compiled", signature)))

    class Client:
        """Asks the application without a connection."""

        def get(self, path: str) -> Answer:
            return self.post(path, None)

        def post(self, path: str, body: bytes | None) -> Answer:
            found = ask(app, path, body)
            return Answer(found.status, found.json)

    scorer = ServerScorer(Client(), "census")  # type: ignore[arg-type]
    for sexes in ("fm", "fx", "xy"):
        rows = [{"age": 41, "sex": sex} for sex in sexes]
        assert len(scorer.score(json.dumps({"rows": rows}).encode())) == 2

    assert scorer.unseen == {"sex": 3}
    (note,) = unseen_notes(scorer)
    assert note.startswith("column 'sex': 3 rows hold a category")
