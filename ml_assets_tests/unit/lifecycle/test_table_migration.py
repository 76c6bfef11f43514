"""Tables and contracts of an older installation are found as they were there."""

from pathlib import Path

import pandas as pd
import pytest

from ml_assets.core.files import write_json
from ml_assets.lifecycle.table_migration import MovedTables, migrate_tables
from ml_assets.ml.classes import Classes
from ml_assets.spec.model import ModelSpec
from ml_assets.state import contracts
from ml_assets.state.pinned import pinned_classes
from ml_assets.state.tables import Tables
from ml_assets.state.validations import Validations
from ml_assets_tests.kits.stored_tables import frame

SPEC = ModelSpec.model_validate(
    {"name": "churn", "source": {"type": "csv", "path": "x.csv"}, "target": "churned"}
)
BLOCKED = {
    "data_version": "def",
    "since": "2026-11-20T00:00:00+00:00",
    "moved": ["column tariff: unseen category"],
    "contract": "{}",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    source = tmp_path / "old"
    raw = source / "tables/churn/raw"
    raw.mkdir(parents=True)
    for version in ("abc", "def"):
        frame(version).to_parquet(raw / f"{version}.parquet")
        write_json(raw / f"runs/run-{version}.json", {"data_version": version})
        report = {"summary": {"passed": version == "abc"}}
        write_json(source / f"reports/churn/validation/{version}.json", report)
    write_json(raw / "current.json", {"data_version": "abc"})
    write_json(raw / "newest.json", {"data_version": "def"})
    features = source / "tables/churn/features"
    write_json(features / "current.json", {"data_version": "f", "made_of": "abc"})
    write_json(source / "contracts/churn.json", {"format": 1})
    write_json(source / "contracts/churn.blocked.json", BLOCKED)
    fixed = {"target": "churned", "negative": "no", "positive": "yes"}
    write_json(source / "classes/churn.json", fixed)
    (raw / ".tmp-dead").write_bytes(b"half")
    return source


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("installation")
def test_what_an_older_installation_had_is_found(old: Path) -> None:
    before = files(old)
    assert [*migrate_tables(old)] == [MovedTables("churn", 2, 10)]
    tables = Tables()
    assert tables.version("churn", "raw") == "abc"
    assert tables.version("churn", "raw", "run-def") == "def"
    assert tables.pointer("churn", "raw", unchecked=True) == {"data_version": "def"}
    wanted = {"data_version": "f", "made_of": "abc"}
    assert tables.pointer("churn", "features") == wanted
    pd.testing.assert_frame_equal(tables.read("churn", "raw", "abc"), frame("abc"))
    assert Validations().failed("churn", "abc") is None
    assert Validations().failed("churn", "def") == "reports/churn/validation/def.json"
    assert contracts.accepted("churn") is not None
    assert contracts.blocked("churn") == contracts.Blocked(**BLOCKED)  # type: ignore
    assert pinned_classes(SPEC) == Classes("no", "yes")
    assert files(old) == before


def test_a_second_time_changes_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The new storage is the old directory.
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(old))
    assert [*migrate_tables(old)] == [MovedTables("churn", 2, 10)]
    Tables().write("churn", "raw", "run3", frame("new"))
    Tables().accept("churn", "raw", "new")
    assert [*migrate_tables(old)] == [MovedTables("churn", 3, 0)]
    assert Tables().version("churn", "raw") == "new"
