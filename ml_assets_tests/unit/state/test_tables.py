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
from ml_assets.core.storage import Storage, StorageUnavailableError, storage
from ml_assets.lifecycle.training import raw_version_of
from ml_assets.spec.model import ModelSpec
from ml_assets.state import contracts, tables
from ml_assets.state.tables import (
    MissingTableError,
    NoTableYetError,
    Tables,
    TableWriteError,
)


def table(version: str, rows: int = 3) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"age": range(rows), "sex": pd.Categorical(["f", "m", "f"] * rows)[:rows]}
    )
    frame.attrs["data_version"] = version
    return frame


@pytest.fixture
def store(installation: str) -> Tables:
    return Tables()


def test_a_table_is_read_as_it_was_written(store: Tables) -> None:
    name = store.write("churn", "raw", "run1", table("abc"))
    assert name == "tables/churn/raw/abc.parquet"
    found = store.read("churn", "raw", "abc")
    pd.testing.assert_frame_equal(found, table("abc"))
    assert found.attrs["data_version"] == "abc"
    assert [*store.read("churn", "raw", "abc", ["sex"])] == ["sex"]


def test_parts_of_a_table_are_read_alone(store: Tables) -> None:
    frame = table("abc", 5)
    frame.attrs["part_rows"] = [2, 0, 3]
    store.write("churn", "raw", "run1", frame)
    assert store.parts("churn", "raw", "abc") == 2
    assert store.read_part("churn", "raw", "abc", 1)["age"].tolist() == [2, 3, 4]
    assert store.columns("churn", "raw", "abc") == {"age", "sex"}
    assert store.kinds("churn", "raw", "abc") == {"age": "integer", "sex": "string"}


def test_each_run_finds_the_table_that_it_made(store: Tables) -> None:
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
    store: Tables,
) -> None:
    frame = table("abc")
    frame.attrs["made_of"] = "raw1"
    store.write("churn", "features", "run1", frame)
    wanted = {"data_version": "abc", "made_of": "raw1"}
    assert store.pointer("churn", "features", "another-run") == wanted


def test_what_a_row_refers_to_is_not_removed(store: Tables) -> None:
    store.write("churn", "raw", "run1", table("abc"))
    store.write("churn", "raw", "run2", table("def"))
    features = table("f1")
    features.attrs["made_of"] = "abc"
    store.write("churn", "features", "run1", features)
    assert not store.remove("churn", "raw", "def")
    store.forget("churn", "raw", "run1")
    assert not store.remove("churn", "raw", "abc"), "current features are made of it"
    store.write("churn", "features", "run2", table("f2"))
    store.forget("churn", "features", "run1")
    assert store.remove("churn", "raw", "abc")
    assert not store.exists("churn", "raw", "abc")
    assert store.version("churn", "raw", "run2") == "def"


def test_a_table_that_a_cleanup_removes_meanwhile_is_written_again(
    store: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("churn", "raw", "run1", table("abc"))
    store.write("churn", "raw", "run2", table("def"))
    store.forget("churn", "raw", "run1")
    size, removed = Storage.size, []

    def found_and_then_removed(here: Storage, name: str) -> int | None:
        found = size(here, name)
        if not removed:
            removed.append(store.remove("churn", "raw", "abc"))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "size", found_and_then_removed)
        store.write("churn", "raw", "run3", table("abc"))
    assert removed == [True]
    pd.testing.assert_frame_equal(store.read("churn", "raw", "abc"), table("abc"))
    assert store.version("churn", "raw", "run3") == "abc"


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


def test_the_same_content_is_written_once(
    store: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.write("churn", "raw", "run1", table("abc"))
    monkeypatch.delattr(Storage, "upload")
    assert store.write("churn", "raw", "run2", table("abc")) == first
    assert store.version("churn", "raw", "run2") == "abc"


def test_a_stage_that_never_ran_is_named(store: Tables) -> None:
    with pytest.raises(MissingTableError, match="churn/raw was never materialized"):
        store.version("churn", "raw", "run1")


def test_a_table_that_was_removed_is_named_with_what_to_do(store: Tables) -> None:
    storage().remove([store.write("churn", "raw", "run1", table("abc"))])
    wanted = r"tables/churn/raw/abc.parquet\); materialize churn/raw again"
    with pytest.raises(MissingTableError, match=wanted):
        store.read("churn", "raw", "abc")
    with pytest.raises(MissingTableError, match=wanted):
        store.accept("churn", "raw", "abc")


@pytest.mark.parametrize("step", ["to_parquet", "upload", "pointer"])
def test_a_write_that_fails_is_named_and_the_old_table_stays(
    store: Tables, monkeypatch: pytest.MonkeyPatch, installation: str, step: str
) -> None:
    store.write("churn", "raw", "run1", table("abc"))
    store.accept("churn", "raw", "abc")

    def full(*given: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "of no interest")

    owner, name = {
        "to_parquet": (pd.DataFrame, "to_parquet"),
        "upload": (Storage, "upload"),
        "pointer": (tables, "replace"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(TableWriteError) as caught:
            store.write("churn", "raw", "run2", table("def"))
    assert str(caught.value) == (
        f"table churn/raw cannot be written to {installation}: No space left on"
        " device; make room or mend the storage (ML_ASSETS_STORAGE), then run again"
    )
    assert store.version("churn", "raw", "run2") == "abc"
    store.write("churn", "raw", "run2", table("def"))
    assert store.version("churn", "raw", "run2") == "def"


def test_a_failure_without_a_number_is_reported_in_its_own_words(
    store: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        raise StorageUnavailableError("the storage does not answer")

    monkeypatch.setattr(Storage, "upload", fail)
    with pytest.raises(TableWriteError, match="does not answer; make room"):
        store.write("churn", "raw", "run1", table("abc"))


def test_a_version_names_the_data_that_its_features_were_made_of(
    home: Path,
) -> None:
    spec = ModelSpec.model_validate(
        {"name": "churn", "source": {"type": "csv", "path": "x.csv"}, "target": "sex"}
    )
    Tables().write("churn", "raw", "run1", table("newer"))
    Tables().accept("churn", "raw", "newer")
    features = table("f1")
    # As an older release left it.
    assert raw_version_of(spec, features, "run2") == "newer"
    features.attrs["made_of"] = "older"
    assert raw_version_of(spec, features, "run2") == "older"
