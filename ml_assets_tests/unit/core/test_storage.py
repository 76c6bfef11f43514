"""Objects are created once, whatever keeps them, and what is unclear is an error."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets.core.files import NameFault, StorageError
from ml_assets.core.storage import Storage, StorageUnavailableError, storage
from ml_assets_tests.kits.outages import Mode, Outage


@pytest.mark.slow
@pytest.mark.usefixtures("any_storage")
class TestEveryStorage:
    """The same on a directory, and over the protocols of S3 and Azure."""

    def test_an_object_is_created_once(self) -> None:
        assert storage().create("plans/churn/1.json", b"one")
        assert not storage().create("plans/churn/1.json", b"two")
        assert storage().get("plans/churn/1.json") == b"one"

    def test_to_create_it_again_with_the_same_content_is_no_loss(self) -> None:
        assert storage().create("plans/churn/1.json", b"one")
        assert storage().create("plans/churn/1.json", b"one")

    def test_of_racing_writers_one_wins_each_time(self) -> None:
        clients = [Storage(storage().url) for _ in range(4)]
        for number in range(10):
            barrier = threading.Barrier(len(clients))

            def write(at: int, name: str = f"race/{number}") -> bool:
                barrier.wait()
                return clients[at].create(name, b"%d" % at)

            with ThreadPoolExecutor(len(clients)) as pool:
                assert sum(pool.map(write, range(len(clients)))) == 1

    def test_a_pointer_changes_and_so_does_its_tag(self) -> None:
        found = storage()
        assert found.changed("active.json", None) is None
        found.put("active.json", b"1")
        first = found.changed("active.json", None)
        assert first is not None and first.data == b"1"
        assert found.changed("active.json", first.tag) is None
        found.put("active.json", b"2")
        second = found.changed("active.json", first.tag)
        assert second is not None and second.data == b"2"

    def test_names_are_listed_below_a_prefix(self) -> None:
        for name in ("plans/a/1", "plans/a/2", "plans/b/pinned/1", "other"):
            storage().put(name, b"12")
        assert storage().children("plans") == ["a", "b"]
        assert storage().children("") == ["other", "plans"]
        assert storage().children("none") == []
        found = {(info.name, info.size) for info in storage().objects("plans/b")}
        assert found == {("plans/b/pinned/1", 2)}

    def test_what_is_removed_is_gone_and_may_be_removed_again(self) -> None:
        storage().put("a/1", b"1")
        storage().remove(["a/1", "a/2"])
        storage().remove(["a/1"])
        assert storage().get("a/1") is None
        assert storage().size("a/1") is None

    def test_a_large_file_goes_there_and_back_in_parts(self, tmp_path: Path) -> None:
        source, back = tmp_path / "source", tmp_path / "somewhere" / "back"
        source.write_bytes(b"0123456789" * 2_000_000)
        storage().upload("bundles/model", source)
        storage().upload("bundles/model", source)
        assert storage().size("bundles/model") == 20_000_000
        storage().fetch("bundles/model", back)
        assert back.read_bytes() == source.read_bytes()
        with pytest.raises(FileNotFoundError):
            storage().fetch("bundles/none", back)
        assert [path.name for path in back.parent.iterdir()] == ["back"]

    def test_columns_of_a_table_are_read_without_the_rest(self, tmp_path: Path) -> None:
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table({"a": range(1_000), "b": ["x"] * 1_000}), path)
        storage().upload("tables/churn/1.parquet", path)
        with storage().open("tables/churn/1.parquet") as stream:
            assert pq.read_table(stream, columns=["a"]).column_names == ["a"]


KILLED = """
import os, sys, obstore
from ml_assets.core.storage import Storage
writer = obstore.open_writer(Storage(sys.argv[1])._store, "tables/m/1", buffer_size=9)
writer.write(b"more than the first part")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_in_a_directory_is_no_object(tmp_path: Path) -> None:
    found = Storage(str(tmp_path / "storage"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "storage")]
    assert subprocess.run(command, check=False).returncode == -9
    found.put("tables/m/2", b"whole")
    assert [info.name for info in found.objects("tables/m")] == ["tables/m/2"]
    (left,) = found.leftovers("tables")
    assert left.name.startswith("tables/m/1#") and found.size("tables/m/1") is None
    found.remove([left.name, "tables/m/2"])
    found.remove([left.name])
    assert [*found.leftovers("tables")] == [] and found.children("") == []


@pytest.mark.slow
def test_a_write_whose_reply_is_lost_is_known_as_ours(outage: Outage) -> None:
    outage.mode = "lose"
    assert storage().create("plans/churn/1.json", b"ours")
    outage.mode = "lose"
    assert not storage().create("plans/churn/1.json", b"theirs")
    assert storage().get("plans/churn/1.json") == b"ours"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["refuse", "error", "hang"])
def test_a_storage_that_is_away_is_an_error_that_names_it(
    outage: Outage, mode: Mode
) -> None:
    found = storage()
    found.put("a", b"1")
    outage.mode = mode
    with pytest.raises(
        StorageUnavailableError, match="the storage (s3|az)://.* for a:"
    ):
        found.get("a")
    with pytest.raises(StorageUnavailableError):
        found.create("b", b"1")
    outage.mode = "through"
    assert found.get("a") == b"1"


@pytest.mark.slow
def test_a_table_whose_storage_goes_away_while_it_is_read_is_such_an_error(
    outage: Outage, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": range(1_000)}), path)
    storage().upload("tables/churn/1.parquet", path)
    with storage().open("tables/churn/1.parquet") as stream:
        outage.mode = "refuse"
        with pytest.raises(StorageUnavailableError, match="for tables/churn/1.parquet"):
            pq.read_table(stream)


@pytest.mark.parametrize("name", ["../a", "a//b", "/a", "a/..", ".tmp-1", "a b", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NameFault):
        Storage(str(tmp_path)).put(name, b"1")


@pytest.mark.parametrize("url", ["ftp://host/x", "http://host/x", "file://host/x"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="ML_ASSETS_STORAGE is"):
        Storage(url)


def test_by_default_it_is_the_home(home: Path) -> None:
    storage().put("a/b", b"1")
    assert (home / "a" / "b").read_bytes() == b"1"
    assert storage().local("a/b") == home / "a" / "b"
