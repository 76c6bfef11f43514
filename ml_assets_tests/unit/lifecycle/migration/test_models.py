"""What models had in files of release 0.1 is found by today's stores."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ml_assets.core.files import write_bytes, write_json
from ml_assets.lifecycle.migration import MigrationError, migrate
from ml_assets.records.ledger_entry import START, canonical
from ml_assets.records.plan import Arm, ServingPlan, encode
from ml_assets.state import contracts
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.tables import Tables
from ml_assets.state.validations import Validations
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.records import make_record

VERSION = "20261101T020000Z"
RECORD = make_record(VERSION, raw_version="abc", registry_version="7")


def entry(seq: int, previous: str, **given: Any) -> dict[str, Any]:
    body = {
        "seq": seq,
        "time": "2026-11-01T02:00:00.000+00:00",
        "kind": "deployment",
        "model": "churn",
        "version": VERSION,
        "generation": 1,
        "who": "user ana",
        "why": "it passed",
        "evidence": {},
        "key": "deploy:1",
        "previous": previous,
        **given,
    }
    return {**body, "hash": hashlib.sha256(canonical(body)).hexdigest()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """What release 0.1 kept of one version in service, and of one that was reserved."""
    root = tmp_path / "old"
    version = root / "versions/churn" / VERSION
    write_bytes(version / "reserved", b"run-1")
    write_bytes(version / "record.json", encode(RECORD))
    write_json(version / "evaluation.json", {"figures": {"accuracy": 0.9}})
    write_json(version / "profile.json", {"columns": []})
    write_bytes(version / "bundle/signature.json", b"{}")
    write_bytes(root / "versions/churn/20261108T020000Z/reserved", b"run-2")
    raw = root / "tables/churn/raw"
    raw.mkdir(parents=True)
    pd.DataFrame({"age": [1, 2]}).to_parquet(raw / "abc.parquet")
    write_json(raw / "runs/run-1.json", {"data_version": "abc"})
    write_json(raw / "current.json", {"data_version": "abc"})
    write_bytes(raw / ".lock", b"")
    write_json(root / "contracts/churn.json", {"columns": {}})
    report = {"source": "raw", "version": VERSION, "columns": []}
    write_json(root / "reports/churn/drift/raw-1.json", report)
    found = {"summary": {"passed": False}}
    write_json(root / "reports/churn/validation/abc.json", found)
    arm = Arm(version=VERSION, bundle=RECORD.bundle, files={}, runtime="compiled")
    plan = ServingPlan(
        model="churn", generation=1, arms=(arm,), created_at="then", reason="it passed"
    )
    write_bytes(root / "plans/churn/00000001.json", encode(plan))
    first = entry(1, START)
    second = entry(2, first["hash"], kind="hold", generation=None, key=None)
    lines = b"".join(canonical(item) + b"\n" for item in (first, second))
    # The last line is what a killed writer left.
    write_bytes(root / "ledger/churn.jsonl", lines + b'{"seq": 3')
    write_json(root / "ledger/churn.head.json", {"seq": 2, "hash": second["hash"]})
    return root


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("installation")
def test_everything_is_found_again_and_the_old_files_stay(old: Path) -> None:
    before = contents(old)
    (counted,) = migrate(old, dry_run=True)
    assert counted[:4] == ("churn", 2, 1, 4) and counted.copied == 0
    assert Versions().names("churn") == []
    (moved,) = migrate(old)
    assert moved.copied == counted.objects + 7 + 1
    assert Versions().get("churn", VERSION) == RECORD
    assert Versions().evaluation("churn", VERSION) == {"figures": {"accuracy": 0.9}}
    assert Versions().has_profile("churn", VERSION)
    assert Versions().names("churn") == [VERSION]
    assert Tables().version("churn", "raw", "run-1") == "abc"
    assert Tables().read("churn", "raw", "abc")["age"].tolist() == [1, 2]
    known = contracts.accepted("churn")
    assert known is not None and json.loads(known.contract) == {"columns": {}}
    newest = DriftReports().latest("churn", "raw")
    assert newest is not None and newest.report == "raw-1"
    assert Validations().failed("churn", "abc") is not None
    plan = Plans().current("churn")
    assert plan is not None and plan.live.version == VERSION
    assert Plans().late() == []
    assert Ledger().verify("churn") == []
    assert [*Ledger().held("churn")] == [VERSION]
    assert [item.copied for item in migrate(old)] == [0]
    assert contents(old) == before


def test_an_installation_may_be_migrated_where_it_is(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(old))
    before = contents(old)
    (moved,) = migrate(old)
    assert moved.copied == 7 + 1
    assert Tables().read("churn", "raw", "abc")["age"].tolist() == [1, 2]
    assert before.items() <= contents(old).items()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda data: data.replace(b"user ana", b"user eve"), "entry 1 was edited"),
        (lambda data: data.split(b"\n")[0] + b"\n", "entries after 1 are missing"),
        (lambda data: data.replace(b'{"', b"{", 1), "entry 1 is not readable"),
    ],
)
def test_a_ledger_that_does_not_verify_moves_nothing(
    old: Path, damage: Any, message: str
) -> None:
    path = old / "ledger/churn.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MigrationError, match=message):
        [*migrate(old)]
    assert Versions().names("churn") == [] and Plans().models() == []


def test_another_history_of_the_model_is_not_replaced(old: Path) -> None:
    Ledger().append("churn", "hold", VERSION, None, "user ana", "mine", {})
    with pytest.raises(MigrationError, match="another history of churn already"):
        [*migrate(old)]
    assert len(Ledger().entries("churn")) == 1


def test_a_directory_that_is_no_installation_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=f"{tmp_path} holds no ledger"):
        [*migrate(tmp_path)]
