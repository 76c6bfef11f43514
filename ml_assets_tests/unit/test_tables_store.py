"""Tables between assets: written once, named by their content, found by their run."""

import errno
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ml_assets.resources.tables import MissingTableError, TableStore, TableWriteError
from ml_assets.storage import TEMPORARY


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
    assert store.version("churn", "raw", "another-run") == "def"


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

    def half(frame: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"PAR1 and no more")
        raise OSError(errno.ENOSPC, "of no interest")

    def full(path: Path, value: Any) -> None:
        raise OSError(errno.ENOSPC, "of no interest")

    if step == "to_parquet":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    else:
        monkeypatch.setattr("ml_assets.resources.tables.write_json", full)
    with pytest.raises(TableWriteError) as caught:
        store.write("churn", "raw", "run2", table("def"))
    assert str(caught.value) == (
        f"table churn/raw cannot be written to {tmp_path}/tables/churn/raw: No space"
        " left on device; make room or mend the storage (ML_ASSETS_STORAGE), then run"
        " again"
    )
    assert store.version("churn", "raw", "run2") == "abc"
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))


def test_a_failure_without_a_number_is_told_in_its_own_words(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(frame: Any, path: Path, **options: Any) -> None:
        raise OSError("the mount went away")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(TableWriteError, match="the mount went away; make room"):
        store.write("churn", "raw", "run1", table("abc"))
