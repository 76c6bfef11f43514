"""Segments on a disk that fails: what is acknowledged is there, or counted as lost."""

import errno
import os

import pytest

from ml_assets.core.storage import Storage
from ml_assets.serving.log import retired_segment
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.log.segments import SegmentWriter
from ml_assets.serving.log.shipping import adopt, directory_of
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.rendezvous import ServerLease
from ml_assets.serving.settings import ServerSettings

LINES = b'{"id":"a"}\n{"id":"b"}\n'


class Disk:
    """Flushes as Linux does: an error is reported once, and what it hit is gone."""

    def __init__(self, monkeypatch):
        self.flushed = []
        self._broken = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def breaks_once(self, name, and_then=lambda path: None):
        """Let the next flush of a file or directory whose path ends so fail."""
        self._broken[name] = and_then

    def fsync(self, descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        for name in [name for name in self._broken if path.endswith(name)]:
            self._broken.pop(name)(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(descriptor)
        self.flushed.append(path)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def zeroed(path):
    with open(path, "r+b") as stream:
        stream.write(bytes(len(b'{"id":"a"}\n') - 1))


def written(tmp_path, infix=""):
    log = SegmentWriter(tmp_path / "server", infix, 1000, 1000.0)
    log.append(LINES, 2)
    log.retire(at_once=True)
    return log, tmp_path / "server" / f"00000001{infix}.open"


@pytest.mark.parametrize(
    "dropped, lost, kept",
    [
        (lambda path: None, 0, LINES),
        (zeroed, 2, bytes(10) + b'\n{"id":"b"}\n'),
        (lambda path: os.truncate(path, 15), 2, b'{"id":"a"}\n'),
        (lambda path: os.truncate(path, 0), 2, None),
    ],
    ids=["nothing is dropped", "a page is zeros", "the end is gone", "all is gone"],
)
def test_a_failed_flush_is_never_repeated_and_counts_what_it_dropped(
    tmp_path, disk, dropped, lost, kept
):
    log, path = written(tmp_path)
    disk.breaks_once("1.open", dropped)
    assert log.close_retired() == (lost, [])
    assert not path.exists() and str(path) not in disk.flushed
    closed = path.with_suffix(".jsonl")
    assert (closed.read_bytes() if closed.exists() else None) == kept
    assert log.close_retired() == (0, [])


def test_a_segment_without_room_for_another_waits_and_is_not_flushed_again(
    tmp_path, disk, monkeypatch
):
    log, path = written(tmp_path)
    disk.breaks_once("1.open")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(retired_segment, "atomic_path", full)
        for _ in range(2):
            assert [e.errno for e in log.close_retired().failures] == [errno.ENOSPC]
    assert path.read_bytes() == LINES
    assert log.close_retired() == (0, [])
    assert path.with_suffix(".jsonl").read_bytes() == LINES
    assert str(path) not in disk.flushed


@pytest.mark.parametrize(
    "happens",
    [
        lambda path, disk: path.unlink(),
        lambda path, disk: path.rename(path.with_name("elsewhere")),
        lambda path, disk: disk.breaks_once("/server"),
        lambda path, disk: os.truncate(path, 5),
    ],
    ids=["removed", "renamed", "the directory's flush fails", "cut by hand"],
)
def test_whatever_happens_to_a_file_its_segment_is_closed_in_the_end(
    tmp_path, disk, happens
):
    log, path = written(tmp_path)
    happens(path, disk)
    results = [log.close_retired() for _ in range(3)]
    assert results[-1] == (0, [])
    lost = sum(result.lost for result in results)
    closed = path.with_suffix(".jsonl")
    assert (closed.exists() and closed.read_bytes() == LINES) or lost == 2


@pytest.fixture
def lease(tmp_path):
    lease = ServerLease(tmp_path / "home", "me")
    yield lease
    lease.release()


def keeper(tmp_path, **settings):
    home, storage = str(tmp_path / "home"), str(tmp_path / "storage")
    metrics = Metrics()
    given = ServerSettings(home=home, storage=storage, **settings)
    return LogKeeper(given, metrics, "me"), metrics


def shipped(tmp_path):
    found = (tmp_path / "storage/segments").glob("*/*.jsonl")
    return sorted(f"{item.parent.name}/{item.name}" for item in found if item.is_file())


def test_what_a_flush_dropped_is_in_the_metric_and_logged(
    tmp_path, disk, lease, caplog
):
    logs, metrics = keeper(tmp_path, segment_bytes=1)
    disk.breaks_once("1.open", lambda path: os.truncate(path, 0))
    logs.log_of("census").append(LINES, 2)
    logs.start()
    logs.close()
    assert metrics.lost == {"census": 2}
    assert "the disk has dropped logged predictions" in caplog.text


@pytest.mark.parametrize("step", ["close", "ship"])
def test_one_segment_that_stays_keeps_back_no_other_and_no_other_model(
    tmp_path, lease, caplog, step
):
    logs, _ = keeper(tmp_path, segment_bytes=1)
    for model in ("bad", "good"):
        for _ in range(2):
            logs.log_of(model).append(LINES, 2)
    # Something in the way of a name: nothing else can have it.
    if step == "close":
        way = directory_of(tmp_path / "home", "bad", "me") / "00000001.jsonl"
        (way / "in the way").mkdir(parents=True)
    else:
        way = tmp_path / "storage/segments/bad/me-00000001.jsonl"
        way.parent.mkdir(parents=True)
        way.write_bytes(b"in the way")
    logs.start()
    logs.close()
    assert [name for name in shipped(tmp_path) if name != "bad/me-00000001.jsonl"] == [
        "bad/me-00000002.jsonl",
        "good/me-00000001.jsonl",
        "good/me-00000002.jsonl",
    ]
    assert "segments are kept here" in caplog.text and "00000001" in caplog.text


def test_one_orphan_that_stays_keeps_back_no_other(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    for server in ("a", "b"):
        directory = directory_of(home, "census", server)
        directory.mkdir(parents=True)
        (directory / "00000001.open").write_bytes(LINES)
        (directory / "00000002.open").write_bytes(LINES)
    (directory_of(home, "census", "a") / "00000001.jsonl" / "x").mkdir(parents=True)
    found = adopt(home, storage, "census")
    assert [name.removeprefix("segments/census/") for name in found.names] == [
        "a-00000002.jsonl", "b-00000001.jsonl", "b-00000002.jsonl",
    ]  # fmt: skip
    assert found.failures and directory_of(home, "census", "a").exists()
    assert not directory_of(home, "census", "b").exists()


def test_an_orphan_whose_flush_may_have_failed_is_written_anew(tmp_path, disk):
    path = tmp_path / "00000001.open"
    path.write_bytes(LINES)
    before = path.stat().st_ino
    closed = retired_segment.close_orphan(path)
    assert closed.read_bytes() == LINES and closed.stat().st_ino != before
    assert str(path) not in disk.flushed


def test_labels_are_on_the_disk_with_all_names_above_them_before_it_returns(
    tmp_path, disk
):
    log = SegmentWriter(tmp_path / "log/census/me", ".labels", 1000, 1000.0)
    log.append_durably(LINES, 2)
    names = [path.removeprefix(f"{tmp_path}") for path in disk.flushed]
    assert {"", "/log", "/log/census", "/log/census/me"} < {*names}
    assert "/log/census/me/00000001.labels.open" in names
    disk.flushed.clear()
    log.append_durably(LINES, 2)
    assert len(disk.flushed) == 1


@pytest.mark.parametrize("broken", ["1.labels.open", "/server"])
def test_labels_whose_flush_failed_are_refused_and_none_of_them_stays(
    tmp_path, disk, broken
):
    log = SegmentWriter(tmp_path / "server", ".labels", 1000, 1000.0)
    if broken.endswith(".open"):
        log.append_durably(b"first\n", 1)
    else:
        log.directory.mkdir()
    disk.breaks_once(broken)
    with pytest.raises(OSError, match="Input/output"):
        log.append_durably(b"refused\n", 1)
    log.append_durably(b"again\n", 1)
    log.retire(at_once=True)
    assert log.close_retired() == (0, [])
    files = sorted(log.directory.glob("*.jsonl"))
    kept = [b"first\n", b"again\n"] if broken.endswith(".open") else [b"again\n"]
    assert [file.read_bytes() for file in files] == kept
