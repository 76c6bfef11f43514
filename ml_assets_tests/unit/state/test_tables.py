"""Tables between assets: written once, named by their content, found by their run."""

import errno
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from ml_assets.assets import validation
from ml_assets.assets.common import TABLES
from ml_assets.assets.io_managers import TableIOManager
from ml_assets.core.files import TEMPORARY
from ml_assets.lifecycle.training import raw_version_of
from ml_assets.spec.model import ModelSpec
from ml_assets.state import contracts
from ml_assets.state.tables import (
    MissingTableError,
    NoTableYetError,
    TableStore,
    TableWriteError,
)


def table(version: str, rows: int = 3) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"age": range(rows), "sex": pd.Categorical(["f", "m", "f"] * rows)[:rows]}
    )
    frame.attrs["data_version"] = version
    return frame


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path)


def test_a_table_is_read_as_it_was_written(store: TableStore) -> None:
    path = store.write("churn", "raw", "run1", table("abc"))
    assert path.name == "abc.parquet"
    found = store.read("churn", "raw", "abc")
    pd.testing.assert_frame_equal(found, table("abc"))
    assert found.attrs["data_version"] == "abc"


def test_each_run_finds_the_table_that_it_made(store: TableStore) -> None:
    store.write("churn", "raw", "run1", table("abc"))
    store.write("churn", "raw", "run2", table("def"))
    assert store.version("churn", "raw", "run1") == "abc"
    assert store.version("churn", "raw", "run2") == "def"
    assert store.version("churn", "raw", "taken-up", "run1") == "abc"
    with pytest.raises(NoTableYetError, match="its checks have not passed"):
        store.version("churn", "raw", "another-run")
    store.accept("churn", "raw", "abc")
    assert store.version("churn", "raw", "another-run") == "abc"


def test_a_stage_without_checks_is_current_as_soon_as_it_is_written(
    store: TableStore,
) -> None:
    frame = table("abc")
    frame.attrs["made_of"] = "raw1"
    store.write("churn", "features", "run1", frame)
    wanted = {"data_version": "abc", "made_of": "raw1"}
    assert store.pointer("churn", "features", "another-run") == wanted


def test_what_was_not_accepted_is_read_by_its_checks_alone(home: Path) -> None:
    read: dict[str, str] = {}
    wanted = ["v1"]
    spec = ModelSpec.model_validate(
        {"name": "churn", "source": {"type": "csv", "path": "x.csv"}, "target": "sex"}
    )
    ages = {"v1": 3, "v2": 300_000}

    @dg.asset(key=["churn", "raw"], io_manager_key=TABLES)
    def raw() -> pd.DataFrame:
        frame = table(wanted[0], 100).assign(age=ages[wanted[0]])
        frame.attrs["data_version"] = wanted[0]
        return frame

    @dg.asset(
        key=["churn", "features"],
        ins={"raw": dg.AssetIn(raw.key, input_manager_key=TABLES)},
    )
    def features(raw: Any) -> None:
        read["features"] = raw.attrs["data_version"]

    checks = [*(validation.build(spec).asset_checks or ())]
    with dg.DagsterInstance.ephemeral() as instance:

        def run(selection: Any = None) -> bool:
            return dg.materialize(
                [raw, features, *checks],
                instance=instance,
                resources={TABLES: TableIOManager()},
                selection=selection,
                raise_on_error=False,
            ).success

        assert run() and read == {"features": "v1"}
        wanted = ["v2"]
        assert not run() and read == {"features": "v1"}
        assert run([features]) and read == {"features": "v1"}
        contracts.accept("churn", "user a", "another unit")
        assert run(dg.AssetSelection.checks(*checks))
        assert run([features]) and read == {"features": "v2"}


def test_the_same_content_is_written_once(store: TableStore) -> None:
    first = store.write("churn", "raw", "run1", table("abc"))
    stamp = first.stat().st_mtime_ns
    assert store.write("churn", "raw", "run2", table("abc")) == first
    assert first.stat().st_mtime_ns == stamp
    assert store.version("churn", "raw", "run2") == "abc"


def test_a_stage_that_never_ran_is_named(store: TableStore) -> None:
    with pytest.raises(MissingTableError, match="churn/raw was never materialized"):
        store.version("churn", "raw", "run1")


def test_a_table_that_was_removed_is_named_with_what_to_do(store: TableStore) -> None:
    path = store.write("churn", "raw", "run1", table("abc"))
    path.unlink()
    with pytest.raises(MissingTableError, match="materialize churn/raw again"):
        store.read("churn", "raw", "abc")


@pytest.mark.parametrize("step", ["to_parquet", "pointer"])
def test_a_full_disk_is_named_and_the_old_table_stays(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    store.write("churn", "raw", "run1", table("abc"))
    store.accept("churn", "raw", "abc")

    def half(frame: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"PAR1 and no more")
        raise OSError(errno.ENOSPC, "of no interest")

    def full(path: Path, value: Any) -> None:
        raise OSError(errno.ENOSPC, "of no interest")

    if step == "to_parquet":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    else:
        monkeypatch.setattr("ml_assets.state.tables.write_json", full)
    with pytest.raises(TableWriteError) as caught:
        store.write("churn", "raw", "run2", table("def"))
    assert str(caught.value) == (
        f"table churn/raw cannot be written to {tmp_path}/tables/churn/raw: No space"
        " left on device; make room or mend the storage (ML_ASSETS_STORAGE), then run"
        " again"
    )
    assert store.version("churn", "raw", "run2") == "abc"
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))


def test_a_failure_without_a_number_is_reported_in_its_own_words(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(frame: Any, path: Path, **options: Any) -> None:
        raise OSError("the mount went away")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(TableWriteError, match="the mount went away; make room"):
        store.write("churn", "raw", "run1", table("abc"))


def test_a_version_names_the_data_that_its_features_were_made_of(
    home: Path,
) -> None:
    spec = ModelSpec.model_validate(
        {"name": "churn", "source": {"type": "csv", "path": "x.csv"}, "target": "sex"}
    )
    TableStore(home).write("churn", "raw", "run1", table("newer"))
    TableStore(home).accept("churn", "raw", "newer")
    features = table("f1")
    # As an older release left it.
    assert raw_version_of(spec, features, "run2") == "newer"
    features.attrs["made_of"] = "older"
    assert raw_version_of(spec, features, "run2") == "older"
