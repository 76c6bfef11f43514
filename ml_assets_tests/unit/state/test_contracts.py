"""What moved on purpose is accepted: by whom, why, and wherever it is killed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from ml_assets.assets import contract as contract_job
from ml_assets.assets.validation import CONTRACT, check, refuse_failed
from ml_assets.cli import main
from ml_assets.spec.model import ModelSpec
from ml_assets.state import contracts, ledger
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger
from ml_assets.state.schema import drift_reports
from ml_assets.state.tables import DATA_VERSION, NoTableYetError, Tables
from ml_assets_tests.kits.records import add_version

SPEC = ModelSpec.model_validate(
    {
        "name": "churn",
        "source": {"type": "csv", "path": "rows.csv"},
        "target": "churned",
        "features": {"drop": ["note"]},
    }
)


def table(version: str, tariff: str = "basic", note: str = "-") -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "tariff": ["flat", tariff] * 50,
            "note": note,
            "churned": [0, 1] * 50,
        }
    )
    frame.attrs[DATA_VERSION] = version
    return frame


def validated(frame: pd.DataFrame) -> dg.AssetCheckResult:
    Tables().write("churn", "raw", frame.attrs[DATA_VERSION], frame)
    results = {item.check_name: item for item in check(SPEC, frame)}
    return results[CONTRACT]


def reported(name: str, *columns: str, kind: str = "category") -> None:
    found = [{"column": column, "drifted": True, "kind": kind} for column in columns]
    source = name.partition("-")[0]
    assert DriftReports().add("churn", name, source, "v1", {"columns": found})


def reported_long_ago() -> None:
    reported("predictions-v1-1", "tariff")
    with writing("churn") as connection:
        connection.execute(drift_reports.update().values(made=0.0))


@pytest.fixture
def moved(home: Path) -> Path:
    assert validated(table("1" * 8)).passed
    add_version(home, "20261116T000000Z")
    return home


def test_the_failure_names_the_command_and_the_job_that_accept(moved: Path) -> None:
    found = validated(table("2" * 8, "premium"))
    assert not found.passed
    assert "`ml-assets contract accept churn --reason WHY`" in str(found.description)
    assert "job churn_accept_contract" in str(found.description)
    assert "premium" not in str(found.description)
    note = contracts.blocked("churn")
    assert note is not None and note.data_version == "2" * 8
    assert note.moved == ["column tariff: unseen category"]


def test_what_is_accepted_is_in_the_ledger_and_passes(moved: Path) -> None:
    validated(table("2" * 8, "premium"))
    command = ["contract", "accept", "churn", "--reason", "a new tariff"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0 and "accepted  column tariff" in done.output
    (entry,) = Ledger().entries("churn")
    assert (entry.kind, entry.why, entry.version) == (
        "contract", "a new tariff", "2" * 8,
    )  # fmt: skip
    assert entry.who.startswith("user ") and entry.evidence["moved"]
    assert validated(table("2" * 8, "premium")).passed
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 1 and "no data of churn waits" in again.output


def test_the_job_accepts_and_has_nothing_to_do_the_second_time(moved: Path) -> None:
    validated(table("2" * 8, "premium"))
    job = contract_job.build(SPEC).resolve_job_def("churn_accept_contract")
    config = {"ops": {"churn__accept_contract": {"config": {"reason": "asked"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            assert job.execute_in_process(config, instance=instance).success
    (entry,) = Ledger().entries("churn")
    assert entry.who.startswith("run ") and contracts.blocked("churn") is None
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process()


@pytest.mark.parametrize("reason", [[], ["--reason", ""], ["--reason", "  "]])
def test_accepting_takes_a_reason(moved: Path, reason: list[str]) -> None:
    validated(table("2" * 8, "premium"))
    done = CliRunner().invoke(main, ["contract", "accept", "churn", *reason])
    assert done.exit_code != 0 and "reason" in done.output
    assert contracts.blocked("churn") is not None


@pytest.mark.parametrize("step", ["append", "_keep"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_wherever_it_is_killed_the_next_one_does_it_once(
    moved: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    validated(table("2" * 8, "premium"))
    owner: Any = {"append": ledger, "_keep": contracts}[step]
    real = getattr(owner, step)

    def killed(*args: object, **given: object) -> None:
        if when == "after":
            real(*args, **given)
        # As SIGKILL does it: nothing after this line runs.
        os._exit(9)

    child = os.fork()
    if not child:
        setattr(owner, step, killed)
        try:
            contracts.accept("churn", "user a", "a new tariff")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert Ledger().entries("churn") == [] and contracts.blocked("churn")
    contracts.accept("churn", "user a", "a new tariff")
    assert len(Ledger().entries("churn")) == 1
    assert not Ledger().verify("churn")
    assert contracts.blocked("churn") is None
    assert validated(table("3" * 8, "premium")).passed


def test_data_that_passes_again_leaves_nothing_to_accept(moved: Path) -> None:
    validated(table("2" * 8, "premium"))
    assert validated(table("4" * 8)).passed
    with pytest.raises(contracts.NothingBlockedError):
        contracts.accept("churn", "user a", "late")


def test_the_same_data_is_noted_once_and_other_data_anew(moved: Path) -> None:
    validated(table("2" * 8, "premium"))
    first = contracts.blocked("churn")
    validated(table("2" * 8, "premium"))
    assert contracts.blocked("churn") == first
    validated(table("5" * 8, "prepaid"))
    assert contracts.blocked("churn") != first


@pytest.mark.parametrize(
    "report, softens",
    [
        (lambda: reported("predictions-v1-1", "tariff"), True),
        (lambda: reported("predictions-v1-1", "other", "tariff"), True),
        (lambda: reported("predictions-v1-1", "churned"), False),
        (lambda: reported("raw-v1-1", "tariff"), False),
        (
            lambda: reported("predictions-1", "tariff", kind="prediction"),
            False,
        ),
        (
            reported_long_ago,
            False,
        ),
    ],
    ids=[
        "of requests", "of several columns", "of another column", "of raw data",
        "of answers", "before the data was last accepted",
    ],
)  # fmt: skip
def test_what_drift_has_reported_of_requests_is_a_warning(
    moved: Path, report: Callable[[], None], softens: bool
) -> None:
    report()
    assert validated(table("2" * 8, "premium")).passed == softens


def test_drift_excuses_no_broken_source(moved: Path) -> None:
    reported("predictions-v1-1", "tariff")
    frame = table("2" * 8).assign(tariff=1.5)
    frame.attrs[DATA_VERSION] = "2" * 8
    assert not validated(frame).passed
    assert not validated(frame.drop(columns="tariff")).passed


def test_a_dropped_column_may_hold_what_it_likes(moved: Path) -> None:
    assert validated(table("2" * 8, note="new")).passed


def test_only_accepted_data_becomes_current(home: Path) -> None:
    store = Tables()
    store.write("churn", "raw", "run", table("1" * 8))
    with pytest.raises(NoTableYetError, match="checks have not passed"):
        store.version("churn", "raw")
    assert store.pointer("churn", "raw", unchecked=True)[DATA_VERSION] == "1" * 8
    assert validated(table("1" * 8)).passed
    assert store.version("churn", "raw") == "1" * 8
    assert not validated(table("2" * 8, "premium")).passed
    assert store.version("churn", "raw") == "1" * 8
    assert store.version("churn", "raw", "2" * 8) == "2" * 8
    assert store.pointer("churn", "raw", unchecked=True)[DATA_VERSION] == "2" * 8
    refuse_failed("churn", "1" * 8)
    with pytest.raises(dg.Failure, match="failed its checks"):
        refuse_failed("churn", "2" * 8)


@pytest.mark.parametrize("unlabelled, passes", [("refuse", False), ("drop", True)])
def test_rows_that_may_lack_a_target_are_no_breach(
    moved: Path, unlabelled: str, passes: bool
) -> None:
    source = SPEC.source.model_copy(update={"unlabelled": unlabelled})
    spec = SPEC.model_copy(update={"source": source})
    frame = table("2" * 8)
    frame["churned"] = frame["churned"].where(frame.index % 5 > 0)
    for _ in range(2):
        Tables().write("churn", "raw", "run", frame)
        found = {item.check_name: item for item in check(spec, frame)}
        assert found[CONTRACT].passed == passes


def test_what_is_left_out_and_what_is_text_is_reported_a_table() -> None:
    from ml_assets.assets.ingestion import accept as accept_table
    from ml_assets.ml.tables import tidy

    frame = tidy(
        pd.DataFrame(
            {
                "": [0, 1, 2, 3],
                "price": ["1,5", "12%", "$3.00", "free"],
                "empty": [None] * 4,
                "churned": ["yes", "no", None, "no"],
            }
        )
    )
    source = SPEC.source.model_copy(update={"unlabelled": "drop"})
    metadata = accept_table(SPEC, source, frame)
    assert metadata["columns_without_name"] == 1
    assert metadata["columns_without_value"] == "empty"
    assert metadata["rows_without_target"] == 1
    assert (
        "'price' is text, and 3 of its 4 values are numbers"
        in metadata["numbers_in_texts"]
    )
