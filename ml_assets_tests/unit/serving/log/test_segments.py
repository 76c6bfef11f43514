"""Segments: what they hold after a full disk, a kill, and a restart."""

import errno
import json
import os
import stat
import time

import pytest

from ml_assets.core.files import TEMPORARY
from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.prediction_log.unshipped import report
from ml_assets.serving.log import prediction_log
from ml_assets.serving.log.prediction_log import LogKeeper, PredictionLog
from ml_assets.serving.log.retired_segment import close_orphan
from ml_assets.serving.log.segments import SegmentWriter
from ml_assets.serving.log.shipping import adopt, directory_of, ship
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.rendezvous import ServerLease
from ml_assets.serving.settings import ServerSettings


def writer(tmp_path, max_bytes=1000, max_seconds=1000.0, infix=""):
    return SegmentWriter(tmp_path / "server", infix, max_bytes, max_seconds)


def names(directory):
    return sorted(item.name for item in directory.rglob("*") if item.is_file())


def test_lines_go_to_one_open_segment_until_it_is_full(tmp_path):
    log = writer(tmp_path, max_bytes=10)
    for line in (b"12345\n", b"67890\n", b"next\n"):
        log.append(line, 1)
    assert names(tmp_path) == ["00000001.open", "00000002.open"]
    log.close_retired()
    assert names(tmp_path) == ["00000001.jsonl", "00000002.open"]
    assert (tmp_path / "server/00000001.jsonl").read_bytes() == b"12345\n67890\n"


@pytest.mark.parametrize("age, closed", [(0.0, True), (1000.0, False)])
def test_an_old_segment_ends_and_a_young_one_does_not(tmp_path, age, closed):
    log = writer(tmp_path, max_seconds=age)
    log.append(b"line\n", 1)
    log.retire()
    log.close_retired()
    assert names(tmp_path) == ["00000001.jsonl" if closed else "00000001.open"]


def test_nothing_was_written_so_nothing_is_there(tmp_path):
    log = writer(tmp_path)
    log.retire(at_once=True)
    log.close_retired()
    assert names(tmp_path) == []


def test_labels_have_segments_of_their_own(tmp_path):
    log = writer(tmp_path, infix=".labels")
    log.append(b"line\n", 1)
    log.retire(at_once=True)
    log.close_retired()
    assert names(tmp_path) == ["00000001.labels.jsonl"]


def part_of(monkeypatch, count):
    """Let `os.write` take only `count` bytes once, as a disk does that gets full."""
    write = os.write

    def short(descriptor, data):
        monkeypatch.setattr(os, "write", write)
        return write(descriptor, data[:count])

    monkeypatch.setattr(os, "write", short)


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_part_of_a_line_never_stays(tmp_path, monkeypatch, can_cut):
    log = writer(tmp_path)
    log.append(b"first\n", 1)
    part_of(monkeypatch, 3)
    if not can_cut:

        def refuse(*_):
            raise OSError(errno.EIO, "no")

        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(OSError, match="No space left"):
                log.append(b"second\n", 1)
    else:
        with pytest.raises(OSError, match="No space left"):
            log.append(b"second\n", 1)
    log.append(b"third\n", 1)
    log.retire(at_once=True)
    log.close_retired()
    files = sorted((tmp_path / "server").iterdir())
    assert b"".join(item.read_bytes() for item in files) == b"first\nthird\n"


@pytest.mark.parametrize(
    "left, kept",
    [
        (b"", None),
        (b"torn", None),
        (b"one\n", b"one\n"),
        (b"one\ntwo\nto", b"one\ntwo\n"),
    ],
)
def test_an_orphan_loses_its_torn_last_line(tmp_path, left, kept):
    path = tmp_path / "00000001.open"
    path.write_bytes(left)
    closed = close_orphan(path)
    assert (closed and closed.read_bytes()) == kept
    assert not path.exists()


def orphan(home, server="dead", model="census"):
    directory = directory_of(home, model, server)
    directory.mkdir(parents=True)
    (directory / "00000001.jsonl").write_bytes(b"1\n")
    (directory / "00000002.open").write_bytes(b"2\n3")
    (directory / "00000001.labels.open").write_bytes(b"4\n")
    return directory


def test_segments_of_a_dead_server_are_adopted_once(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    directory = orphan(home)
    report(storage, "dead", {"census": ["dead-00000002.jsonl"]})
    found = adopt(home, storage, "census").names
    assert {name: storage.get(name) for name in found} == {
        "segments/census/dead-00000001.jsonl": b"1\n",
        "segments/census/dead-00000002.jsonl": b"2\n",
        "segments/census/dead-00000001.labels.jsonl": b"4\n",
    }
    assert not directory.exists()
    assert adopt(home, storage, "census") == ([], [])
    # Nothing of it is on a disk alone any more.
    assert storage.children("unshipped") == []


def test_what_a_killed_adopter_left_half_written_is_not_shipped(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    directory = orphan(home)
    (directory / f"{TEMPORARY}00-00000002.jsonl").write_bytes(b"2\n")
    found = adopt(home, storage, "census").names
    assert b"".join(sorted(map(storage.get, found))) == b"1\n2\n4\n"
    assert not directory.exists()


def test_segments_of_a_living_server_are_left_alone(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    directory = orphan(home)
    lease = ServerLease(home, "dead")
    assert adopt(home, storage, "census") == ([], [])
    assert len(names(directory)) == 3
    lease.release()
    assert len(adopt(home, storage, "census").names) == 3


def test_a_segment_that_is_shipped_again_is_the_same_object(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    segment = orphan(home) / "00000001.jsonl"
    name = ship(segment, storage)
    # As after a reply that was lost: it is still here, and there too.
    segment.write_bytes(b"1\n")
    assert ship(segment, storage) == name
    assert storage.get(name) == b"1\n" and not segment.exists()


@pytest.mark.parametrize("is_one_disk", [True, False])
def test_a_segment_is_moved_and_copied_to_another_disk(
    tmp_path, monkeypatch, is_one_disk
):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    segment = orphan(home) / "00000001.jsonl"
    number = segment.stat().st_ino

    def refused(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not is_one_disk:
        monkeypatch.setattr(os, "link", refused)
    name = ship(segment, storage)
    assert storage.get(name) == b"1\n" and not segment.exists()
    found = storage.local(name)
    assert (found.stat().st_ino == number) == is_one_disk
    storage.put("segments/other", b"")
    mode = storage.local("segments/other").stat().st_mode
    assert stat.S_IMODE(found.stat().st_mode) == stat.S_IMODE(mode)


def test_a_segment_is_read_by_its_server_and_its_group_alone(tmp_path):
    log = writer(tmp_path)
    log.append(b"line\n", 1)
    mode = (tmp_path / "server/00000001.open").stat().st_mode
    assert stat.S_IMODE(mode) & 0o007 == 0


def test_a_segment_is_not_removed_where_another_has_its_name(tmp_path):
    home, storage = tmp_path / "home", Storage(str(tmp_path / "storage"))
    segment = orphan(home) / "00000001.jsonl"
    storage.create("segments/census/dead-00000001.jsonl", b"other\n")
    with pytest.raises(FileExistsError, match="dead-00000001.jsonl in the storage"):
        ship(segment, storage)
    assert segment.read_bytes() == b"1\n"


def keeper(tmp_path):
    settings = {"home": str(tmp_path / "home"), "storage": str(tmp_path / "storage")}
    return LogKeeper(ServerSettings(**settings), Metrics(), "me")


def test_a_server_that_stops_leaves_nothing_behind(tmp_path):
    lease = ServerLease(tmp_path / "home", "me")
    logs = keeper(tmp_path)
    logs.start()
    logs.log_of("census").append(b"1\n", 1)
    logs.log_of("census").labels.append(b"2\n", 1)
    logs.close()
    lease.release()
    assert names(tmp_path / "storage") == [
        "me-00000001.jsonl",
        "me-00000001.labels.jsonl",
    ]
    assert names(tmp_path / "home") == ["lease"]


def test_segments_wait_while_the_storage_is_gone(tmp_path, caplog):
    (tmp_path / "storage").write_text("no directory")
    lease = ServerLease(tmp_path / "home", "me")
    logs = keeper(tmp_path)
    logs.start()
    logs.log_of("census").append(b"1\n", 1)
    logs.close()
    lease.release()
    assert names(tmp_path / "home") == ["00000001.jsonl", "lease"]
    assert "segments are kept here" in caplog.text


@pytest.mark.parametrize("reply", ["refused", "lost"])
def test_a_storage_that_comes_back_has_each_segment_once(tmp_path, monkeypatch, reply):
    monkeypatch.setattr(prediction_log, "RETRY_SECONDS", 0.01)
    create, failures = Storage.create, iter([True] * 3)

    def cut_off(storage, name, data):
        fails = next(failures, False)
        if not fails or reply == "lost":
            assert create(storage, name, data)
        if fails:
            raise StorageUnavailableError(f"the storage does not answer for {name}")
        return True

    monkeypatch.setattr(Storage, "create", cut_off)
    lease = ServerLease(tmp_path / "home", "me")
    logs = keeper(tmp_path)
    logs.log_of("census").append(b"1\n", 1)
    logs.log_of("census").predictions.retire(at_once=True)
    logs.start()
    shipped = tmp_path / "storage/segments/census/me-00000001.jsonl"
    while logs.unshipped()["census"].bytes:
        time.sleep(0.01)
    logs.close()
    lease.release()
    assert shipped.read_bytes() == b"1\n"
    assert names(tmp_path / "storage") == [shipped.name]
    assert names(tmp_path / "home") == ["lease"]


def test_what_is_on_this_disk_alone_is_reported_until_it_is_shipped(tmp_path):
    logs = keeper(tmp_path)
    logs.log_of("census").append(b"1\n", 1)
    logs._ship()
    reported = tmp_path / "storage/unshipped/me.json"
    assert json.loads(reported.read_bytes()) == {"census": ["me-00000001.jsonl"]}
    logs.close()
    assert not reported.exists()


@pytest.mark.parametrize("left_by_the_dead", [False, True])
def test_a_model_whose_segments_are_refused_keeps_no_other_back(
    tmp_path, monkeypatch, left_by_the_dead
):
    monkeypatch.setattr(prediction_log, "RETRY_SECONDS", 0.01)
    refused = tmp_path / "storage/segments/a"
    refused.parent.mkdir(parents=True)
    refused.write_text("no directory")
    lease = ServerLease(tmp_path / "home", "me")
    logs = keeper(tmp_path)
    for model in ("a", "b"):
        if left_by_the_dead:
            orphan(tmp_path / "home", model=model)
        else:
            logs.log_of(model).append(b"1\n", 1)
            logs.log_of(model).predictions.retire(at_once=True)
    logs.start()
    while not any((tmp_path / "storage").glob("segments/b/*.jsonl")):
        time.sleep(0.01)
    refused.unlink()
    while not any((tmp_path / "storage").glob("segments/a/*.jsonl")):
        time.sleep(0.01)
    logs.close()
    lease.release()
    assert not list((tmp_path / "home").rglob("0*"))


def test_segments_that_are_refused_are_reported(tmp_path):
    refused = tmp_path / "storage/segments/a"
    refused.parent.mkdir(parents=True)
    refused.write_text("no directory")
    logs = keeper(tmp_path)
    logs.log_of("a").append(b"1\n", 1)
    logs.log_of("a").predictions.retire(at_once=True)
    (failure,) = logs._ship()
    assert "segments/a/me-00000001.jsonl" in str(failure)
    reported = (tmp_path / "storage/unshipped/me.json").read_bytes()
    assert json.loads(reported) == {"a": ["me-00000001.jsonl"]}


def test_what_is_lost_is_counted_and_logged_once_until_it_works_again(
    tmp_path, caplog, monkeypatch
):
    metrics = Metrics()
    log = PredictionLog("census", tmp_path / "log", ServerSettings(), metrics)
    caplog.set_level("INFO", "ml_assets.serving")
    write = os.write

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    for lines in (1, 100):
        log.append(b"x\n" * lines, lines)
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr("ml_assets.serving.log.prediction_log.CALM_SECONDS", 0.0)
    log.append(b"kept\n", 1)
    assert metrics.lost == {"census": 101}
    text = [record.message for record in caplog.records]
    assert text == [
        "predictions are answered and not logged",
        "predictions are logged again",
    ]
    assert (tmp_path / "log/00000001.open").read_bytes() == b"kept\n"
    exported = {item.name: item for item in metrics.collect()}
    sample = exported["ml_assets_prediction_log_lost"].samples[0]
    assert (sample.name, sample.value) == ("ml_assets_prediction_log_lost_total", 101)


def test_a_line_is_json_of_the_documented_keys(tmp_path):
    from ml_assets.prediction_log.segments import PredictionRecord, parse
    from ml_assets.serving.log import log_records

    record = log_records.FailureRecord(
        "019aae2f-a000-7000-8000-000000000000", 1.5, "r", "census", "v1", "live", 7,
        None, "web", (1.0, None, "a\n"), None, None, 12, "KeyError",
    )  # fmt: skip
    path = tmp_path / "s.jsonl"
    path.write_bytes(log_records.encode([record]))
    assert json.loads(path.read_bytes())["x"] == [1.0, None, "a\n"]
    parsed = parse([path.read_bytes()], "predictions").by_day["2025-11-23"]
    assert isinstance(parsed[0], PredictionRecord) and parsed[0].error == "KeyError"
    assert parsed[0].caller == "web"
