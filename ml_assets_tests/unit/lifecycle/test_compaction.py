"""Segments become Parquet: every line once, also when the process is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml_assets.core.files import sha256_file
from ml_assets.core.storage import Storage, StorageUnavailableError, storage
from ml_assets.lifecycle import compaction
from ml_assets.lifecycle.compaction import BATCH_BYTES, compact
from ml_assets.prediction_log.segments import waiting
from ml_assets.state.batches import Batches
from ml_assets.state.logged import labels, newest_time, predictions
from ml_assets_tests.kits.prediction_log import NOON, line, send, ship, truth


def ids() -> list[str]:
    parts = list(predictions("churn", ["id"]))
    return [str(value) for part in parts for value in part["id"]]


def left() -> list[str]:
    names = [info.name for info in waiting(storage(), "churn", "predictions")]
    return sorted(name.rpartition("/")[2] for name in names)


def test_predictions_are_filed_by_the_utc_day_of_their_id(home: Path) -> None:
    midnight = NOON + 12 * 3600
    late = [line(midnight - 0.001, 1), line(midnight, 2)]
    ship(home, [late[1], late[0]])
    done = compact("churn", "predictions")
    assert (done.segments, done.rows, done.unreadable) == (1, 2, 0)
    files = Batches().files("churn", "predictions")
    assert [file.day for file in files] == ["2026-11-23", "2026-11-24"]
    assert ids() == [item["id"] for item in late]
    assert left() == []


def test_rows_are_sorted_by_id_and_keep_every_figure(home: Path) -> None:
    lines = [line(NOON + n, n, p=n / 7, us=n, label=n % 2) for n in range(50)]
    shadow = lines[3] | {"arm": "shadow", "version": "v2", "error": "Refused"}
    shadow |= {"p": None, "label": None}
    ship(home, [*lines[::-1], shadow])
    compact("churn", "predictions")
    (path,) = (home / "predictions/churn/2026-11-23").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert [row["p"] for row in rows if row["arm"] == "live"] == [
        n / 7 for n in range(50)
    ]
    assert rows[4]["arm"] == "shadow" and rows[4]["error"] == "Refused"
    assert rows[4]["p"] is None and rows[4]["label"] is None
    assert rows[3]["x"] == '[1.5, "a", null]' and rows[3]["label"] == "1"


def test_a_row_has_the_hash_of_each_file_and_whose_predictions_it_holds(
    home: Path,
) -> None:
    ship(home, [line(NOON, 1, version="v2")], "a-00000001")
    ship(home, [line(NOON + 5, 2), line(NOON + 86_400, 3)], "b-00000001")
    compact("churn", "predictions")
    first, second = Batches().files("churn", "predictions")
    assert (first.versions, second.versions) == (["v1", "v2"], ["v1"])
    assert (first.rows, first.newest, first.batch) == (2, NOON + 5, second.batch)
    for file in (first, second):
        assert sha256_file(home / file.name) == file.sha256


def test_a_segment_that_comes_again_is_only_removed(home: Path) -> None:
    lines = [line(NOON, 1)]
    ship(home, lines)
    compact("churn", "predictions")
    ship(home, lines)
    assert compact("churn", "predictions").rows == 0
    assert len(ids()) == 1 and left() == []


def test_torn_and_foreign_lines_are_counted_and_left_out(home: Path) -> None:
    path = ship(home, [line(NOON, 1), line(NOON, 2) | {"id": "17"}])
    with path.open("a") as stream:
        stream.write('{"id": 3}\n{"id": "torn')
    done = compact("churn", "predictions")
    assert (done.rows, done.unreadable) == (1, 2)


def test_labels_and_predictions_do_not_meet(home: Path) -> None:
    ship(home, [line(NOON, 1)], "s-00000001")
    ship(home, [truth("a", 1, NOON), truth("a", "no", NOON + 1)], "s-00000001.labels")
    assert compact("churn", "labels").rows == 2
    assert left() == ["s-00000001.jsonl"]
    assert labels("churn")["label"].tolist() == ["1", "no"]
    assert labels("churn", since=NOON + 0.5)["label"].tolist() == ["no"]


def test_many_segments_are_read_in_batches_that_fit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "BATCH_BYTES", 600)
    assert BATCH_BYTES > 600
    for number in range(7):
        ship(home, [line(NOON, number)], f"s-{number:08d}")
    assert compact("churn", "predictions").segments == 7
    assert len(Batches().files("churn", "predictions")) > 2
    assert len(ids()) == 7


COMPACT = """
    import os, signal, sys
    import obstore
    from sqlalchemy import Connection
    from ml_assets.lifecycle import compaction

    left = int(sys.argv[1])

    # Killed before or after the n-th change of the storage or the database.
    def counted(function):
        def wrapped(*args, **kwargs):
            strike()
            found = function(*args, **kwargs)
            strike()
            return found
        return wrapped

    def strike():
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    for name in ("put", "delete"):
        setattr(obstore, name, counted(getattr(obstore, name)))
    Connection.commit = counted(Connection.commit)
    compaction.BATCH_BYTES = 5_000
    compaction.compact("churn", "predictions")
"""


def run_compaction(strikes: int) -> int:
    code = [sys.executable, "-c", textwrap.dedent(COMPACT), str(strikes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(code, env=environment, check=False).returncode


@pytest.mark.slow
def test_a_kill_at_any_change_neither_loses_nor_doubles(installation: str) -> None:
    expected: list[str] = []
    killed = step = 0
    while True:
        for number in range(3):
            moment = NOON + 43_000 + 100 * number + step
            lines = [line(moment + n, n) for n in range(10)]
            expected += [item["id"] for item in lines]
            send(lines, f"s{step:03d}-{number:08d}")
        code = run_compaction(step)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        # Whoever reads now sees each of them once, or not yet.
        seen = ids()
        assert len(seen) == len({*seen})
        killed, step = killed + 1, step + 1
    assert killed > 10
    assert ids() == sorted(expected) and left() == []


def test_of_two_compactions_at_once_each_line_is_in_one(installation: str) -> None:
    expected = []
    for number in range(8):
        lines = [line(NOON + number, n) for n in range(5)]
        expected += [item["id"] for item in lines]
        send(lines, f"s-{number:08d}")
    ready = threading.Barrier(2)
    make = compaction.make_batch

    def together(*given: object) -> object:
        # Both have read the segments before one of them commits.
        made = make(*given)  # type: ignore[arg-type]
        ready.wait(60)
        return made

    threads = [
        threading.Thread(target=compact, args=("churn", "predictions"))
        for _ in range(2)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "make_batch", together)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ids() == sorted(expected) and left() == []
    counted = {file.name for file in Batches().files("churn", "predictions")}
    assert {info.name for info in storage().objects("predictions/churn")} == counted


def test_a_reply_that_is_lost_after_the_commit_doubles_nothing(
    installation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = send([line(NOON, 1)], "s-00000001")
    commit = Batches.commit

    def lost(*given: object) -> bool:
        commit(*given)  # type: ignore[arg-type]
        raise ConnectionResetError("the reply was lost")

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "commit", lost)
        with pytest.raises(ConnectionResetError):
            compact("churn", "predictions")
    assert left() == [name.rpartition("/")[2]]
    assert compact("churn", "predictions").rows == 0
    assert len(ids()) == 1 and left() == []


@pytest.mark.parametrize("step", ["get", "upload", "remove"])
def test_a_storage_that_is_away_while_compacting_loses_and_doubles_nothing(
    installation: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lines = [line(NOON + n, n) for n in range(4)]
    send(lines[:2], "s-00000001")
    send(lines[2:], "s-00000002")

    def away(store: Storage, name: object, *_: object) -> None:
        raise StorageUnavailableError(f"the storage does not answer for {name}")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, step, away)
        with pytest.raises(StorageUnavailableError, match="does not answer"):
            compact("churn", "predictions")
    compact("churn", "predictions")
    assert ids() == [item["id"] for item in lines] and left() == []


YEAR = 365 * 86_400.0


@pytest.mark.parametrize("ahead", [0.0, 90.0, 7200.0, 10 * YEAR])
def test_what_is_dated_ahead_was_made_when_it_came(home: Path, ahead: float) -> None:
    before = time.time()
    ship(home, [line(before + ahead, 1), line(before - 5, 2)])
    ship(home, [truth("a", "no", before + ahead), truth("a", "no", 5.0)], "a.labels")
    done = compact("churn", "predictions")
    compacted = compact("churn", "labels")
    after = time.time()
    times = [t for day in predictions("churn", []) for t in day["time"]]
    received = labels("churn")["received"].tolist()
    assert before <= max(times) <= after and before <= max(received) <= after
    assert (min(times), min(received)) == (before - 5, 5.0)
    assert done.ahead == compacted.ahead == (ahead > 60)
    assert before <= newest_time("churn") <= after
