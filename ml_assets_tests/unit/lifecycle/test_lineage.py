"""From a prediction id to everything that led to the answer, wherever its line is."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from ml_assets.core.storage import storage
from ml_assets.lifecycle.activation import evidence_of
from ml_assets.lifecycle.compaction import compact
from ml_assets.lifecycle.lineage import LineageError, lineage
from ml_assets.lifecycle.plan_transitions import challenge
from ml_assets.prediction_log import lookup as loglookup
from ml_assets.records.plan import digest
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets_tests.kits.ledger_rows import rewrite, tampered
from ml_assets_tests.kits.plans import commit
from ml_assets_tests.kits.prediction_log import line, prediction_id, ship, together
from ml_assets_tests.kits.records import add_version, serve_version

NOON = 1_763_899_200.0  # 2025-11-23T12:00:00Z
V1 = "20261122T020000Z"


@pytest.fixture
def version(home: Path) -> str:
    serve_version(home, add_version(home, V1))
    return V1


def in_open_segment(home: Path, lines: list[dict[str, Any]]) -> None:
    path = home / "log/churn/server/00000001.open"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in lines) + '{"id":"to')


def in_closed_segment(home: Path, lines: list[dict[str, Any]]) -> None:
    in_open_segment(home, lines)
    path = home / "log/churn/server/00000001.open"
    path.rename(path.with_suffix(".jsonl"))


def shipped(home: Path, lines: list[dict[str, Any]]) -> None:
    path = ship(home, lines)
    path.write_text("".join(json.dumps(i, separators=(",", ":")) + "\n" for i in lines))


def compacted(home: Path, lines: list[dict[str, Any]]) -> None:
    ship(home, lines[: len(lines) // 2])
    ship(home, lines[len(lines) // 2 :], "s-00000001")
    assert compact("churn", "predictions").rows >= len(lines)


LOGS = [in_open_segment, in_closed_segment, shipped, compacted]


@pytest.mark.parametrize("log", LOGS)
def test_an_answer_is_explained_wherever_its_line_is(
    log: Callable[..., None], version: str, home: Path
) -> None:
    lines = [line(NOON + n / 10, n, version=version, p=n / 100) for n in range(40)]
    wanted = line(NOON + 1, 99, version=version, x=[7, "gold", None], entity="e1")
    # The id of another prediction may stand in a text of the caller.
    lines[3]["entity"] = wanted["id"]
    log(home, [*lines, wanted])
    found = lineage(wanted["id"])
    assert found["problems"] == []
    assert found["id"] == wanted["id"] and found["model"] == "churn"
    assert found["answer"] | {"log": ""} == {
        "label": "yes",
        "probability": 0.75,
        "time": wanted["time"],
        "version": version,
        "arm": "live",
        "generation": 1,
        "entity": "e1",
        "request": "request-99",
        "microseconds": 180,
        "error": None,
        "log": "",
    }
    assert found["input"] == {"months": 7, "plan": "gold", "spend": None}
    assert found["training"]["git_commit"] == "commit"
    assert found["gate"]["passed"] and found["validation"] == {"passed": True}
    assert found["plan"]["generation"] == 1
    assert found["ledger"]["kind"] == "deployment" and found["ledger"]["seq"] == 1
    paths = {item["path"] for item in found["hashes"]}
    assert paths == {
        f"versions/churn/{version}/bundle/signature.json",
        f"versions/churn/{version}/bundle/model.skops",
        f"versions/churn/{version}/record.json",
        f"versions/churn/{version}/evaluation.json",
        f"versions/churn/{version}/spec.json",
        f"versions/churn/{version}/validation.json",
        f"tables/churn/raw/raw{version}.parquet",
        f"tables/churn/features/features{version}.parquet",
        "plans/churn/00000001.json",
    }
    assert all(item["matches"] for item in found["hashes"])


@pytest.mark.parametrize("log", LOGS)
def test_each_row_of_an_answer_is_explained_by_its_own_values(
    log: Callable[..., None], version: str, home: Path
) -> None:
    rows = [[n, "gold", None] for n in range(4)]
    lines = [
        line(NOON, n, version=version, x=row, p=n / 4, entity=f"e{n}")
        for n, row in enumerate(rows)
    ]
    log(home, [together(lines[:3]), lines[3]])
    for n, item in enumerate(lines[:3]):
        found = lineage(item["id"])
        assert found["input"] == {"months": n, "plan": "gold", "spend": None}
        answer = found["answer"]
        assert (answer["entity"], answer["probability"]) == (f"e{n}", n / 4)
        # At exactly one half it is the negative class.
        assert answer["label"] == "no"


@pytest.mark.parametrize("log", LOGS)
def test_the_shadows_answer_stands_beside_the_one_that_was_given(
    log: Callable[..., None], version: str, home: Path
) -> None:
    answer = line(NOON, 1, version=version)
    shadow = answer | {"arm": "shadow", "version": "v2", "p": 0.1}
    log(home, [shadow, answer])
    found = lineage(answer["id"])
    assert found["answer"]["arm"] == "live"
    assert [(s["version"], s["probability"]) for s in found["shadow"]] == [("v2", 0.1)]


@pytest.mark.parametrize("log", LOGS)
def test_an_unknown_id_is_reported_with_where_it_was_looked_for(
    log: Callable[..., None], version: str, home: Path
) -> None:
    log(home, [line(NOON, n, version=version) for n in range(3)])
    unknown = prediction_id(NOON, 2)
    with pytest.raises(LineageError, match=f"no log has prediction {unknown}"):
        lineage(unknown)


def test_what_is_no_prediction_id_is_reported_so(home: Path) -> None:
    with pytest.raises(LineageError, match="abc is no prediction id"):
        lineage("abc")


ALTERED = {
    "model": ("versions/churn/{v}/bundle/model.skops", "was altered"),
    "features": ("tables/churn/features/features{v}.parquet", "was altered"),
}
# What is altered by a statement in the database, and what is named then.
EDITED = {
    "record": (
        "UPDATE versions SET record = replace(record, '0.1', '0.2')",
        "versions/churn/{v}/record.json was altered: its SHA-256 is",
    ),
    "evaluation": (
        "UPDATE versions SET evaluation = replace(evaluation, '0.9', '0.8')",
        "versions/churn/{v}/evaluation.json was altered",
    ),
    "plan": (
        "UPDATE plans SET plan = replace(plan, 'it passed', 'it never passed')",
        "plans/churn/00000001.json was altered",
    ),
}


def edit(statement: str) -> None:
    with writing("churn") as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("name, message", ALTERED.values(), ids=ALTERED)
def test_an_altered_file_is_named(
    name: str, message: str, version: str, home: Path
) -> None:
    logged = line(NOON, 1, version=version)
    ship(home, [logged])
    path = home / name.format(v=version)
    path.write_bytes(path.read_bytes() + b" ")
    (problem,) = lineage(logged["id"])["problems"]
    assert problem.startswith(f"{name.format(v=version)} {message}")


@pytest.mark.parametrize("statement, message", EDITED.values(), ids=EDITED)
def test_an_edited_row_is_named(
    statement: str, message: str, version: str, home: Path
) -> None:
    logged = line(NOON, 1, version=version)
    ship(home, [logged])
    edit(statement)
    (problem,) = lineage(logged["id"])["problems"]
    assert problem.startswith(message.format(v=version))


def test_a_removed_file_and_an_edited_ledger_are_named(
    version: str, home: Path
) -> None:
    logged = line(NOON, 1, version=version)
    ship(home, [logged])
    (home / f"tables/churn/raw/raw{version}.parquet").unlink()
    rewrite(lambda found: [tampered(found[0], "user ana", "user bob")])
    assert lineage(logged["id"])["problems"] == [
        f"tables/churn/raw/raw{version}.parquet is missing",
        f"ledger: entry 1 (deployment of {version}) was edited",
    ]


def test_the_entry_is_that_of_the_plan_that_answered(version: str, home: Path) -> None:
    second = add_version(home, "20261123T020000Z")
    serve_version(home, second)
    logged = [
        line(NOON, 1, version=version, generation=1),
        line(NOON, 2, version=second.version, generation=2),
    ]
    ship(home, logged)
    for number, item in enumerate(logged, start=1):
        found = lineage(item["id"])
        assert found["problems"] == []
        assert found["ledger"]["generation"] == number
        assert found["version"]["version"] == item["version"]


def test_under_test_each_arm_has_its_own_entry(version: str, home: Path) -> None:
    tried = add_version(home, "20261123T020000Z")
    plan = challenge(
        Plans().current("churn"), tried, ServingSpec(strategy="split"), "it passed"
    )
    commit(plan)
    evidence = {**evidence_of(tried), "plan_sha256": digest(plan)}
    Ledger().append("churn", "experiment", tried.version, 2, "ana", "?", evidence)
    logged = [
        line(NOON, 1, version=version, generation=2),
        line(NOON, 2, version=tried.version, generation=2, arm="split"),
    ]
    ship(home, logged)
    champion, challenger = (lineage(item["id"]) for item in logged)
    assert champion["problems"] == challenger["problems"] == []
    assert (champion["ledger"]["seq"], challenger["ledger"]["seq"]) == (1, 2)
    assert challenger["ledger"]["kind"] == "experiment"


def test_a_prediction_of_a_removed_version_says_so(home: Path) -> None:
    logged = line(NOON, 1)
    ship(home, [logged])
    with pytest.raises(LineageError, match="model churn has no version v1"):
        lineage(logged["id"])


def test_the_command_shows_it_and_fails_where_something_was_altered(
    version: str, home: Path
) -> None:
    from ml_assets.cli import main

    logged = line(NOON, 1, version=version)
    ship(home, [logged])
    shown = CliRunner().invoke(main, ["lineage", logged["id"]])
    assert shown.exit_code == 0, shown.output
    assert "months=1.5, plan='a', spend=None" in shown.output
    assert "9 of 9 match" in shown.output
    as_json = CliRunner().invoke(main, ["lineage", logged["id"], "--json"])
    assert json.loads(as_json.stdout)["ledger"]["who"] == "user ana"
    edit(EDITED["record"][0])
    altered = CliRunner().invoke(main, ["lineage", logged["id"]])
    assert altered.exit_code == 1
    assert "record.json was altered" in altered.stderr


@pytest.mark.parametrize("ahead", [0.0, 3600.0, 3e8])
def test_an_answer_of_a_clock_that_is_ahead_is_found_in_its_segment(
    home: Path, ahead: float
) -> None:
    wanted = line(time.time() + ahead, 1)
    shipped(home, [wanted])
    found = loglookup.find(home, storage(), wanted["id"])
    assert found is not None and found.records[0]["id"] == wanted["id"]
