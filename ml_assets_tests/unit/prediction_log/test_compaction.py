"""Segments become Parquet: every line once, also when the process is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml_assets.core.files import read_json, sha256_file
from ml_assets.prediction_log import compaction
from ml_assets.prediction_log.compaction import BATCH_BYTES, batch_of, compact
from ml_assets.prediction_log.reader import days, labels, newest_time, predictions
from ml_assets.prediction_log.segments import waiting
from ml_assets_tests.kits.prediction_log import NOON, line, ship, truth


def ids(root: Path) -> list[str]:
    parts = list(predictions(root, "churn", ["id"]))
    return [str(value) for part in parts for value in part["id"]]


def test_predictions_are_filed_by_the_utc_day_of_their_id(home: Path) -> None:
    midnight = NOON + 12 * 3600
    late = [line(midnight - 0.001, 1), line(midnight, 2)]
    ship(home, [late[1], late[0]])
    done = compact(home, "churn", "predictions")
    assert (done.segments, done.rows, done.unreadable) == (1, 2, 0)
    assert days(home, "churn") == ["2026-11-23", "2026-11-24"]
    assert ids(home) == [item["id"] for item in late]
    assert waiting(home, "churn", "predictions") == []


def test_rows_are_sorted_by_id_and_keep_every_figure(home: Path) -> None:
    lines = [line(NOON + n, n, p=n / 7, us=n, label=n % 2) for n in range(50)]
    shadow = lines[3] | {"arm": "shadow", "version": "v2", "error": "Refused"}
    shadow |= {"p": None, "label": None}
    ship(home, [*lines[::-1], shadow])
    compact(home, "churn", "predictions")
    (path,) = (home / "predictions/churn/2026-11-23").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert [row["p"] for row in rows if row["arm"] == "live"] == [
        n / 7 for n in range(50)
    ]
    assert rows[4]["arm"] == "shadow" and rows[4]["error"] == "Refused"
    assert rows[4]["p"] is None and rows[4]["label"] is None
    assert rows[3]["x"] == '[1.5, "a", null]' and rows[3]["label"] == "1"


def test_the_manifest_names_the_segments_and_the_hash_of_each_file(home: Path) -> None:
    ship(home, [line(NOON, 1)], "a-00000001")
    ship(home, [line(NOON, 2)], "b-00000001")
    compact(home, "churn", "predictions")
    names = ["a-00000001.jsonl", "b-00000001.jsonl"]
    manifest = read_json(
        home / f"predictions/churn/batches/{batch_of(names)}.json",
    )
    assert manifest["segments"] == names and manifest["rows"] == 2
    for path, digest in manifest["files"].items():
        assert sha256_file(home / path) == digest


def test_a_segment_that_comes_again_is_only_removed(home: Path) -> None:
    lines = [line(NOON, 1)]
    ship(home, lines)
    compact(home, "churn", "predictions")
    ship(home, lines)
    assert compact(home, "churn", "predictions").rows == 0
    assert len(ids(home)) == 1 and waiting(home, "churn", "predictions") == []


def test_torn_and_foreign_lines_are_counted_and_left_out(home: Path) -> None:
    path = ship(home, [line(NOON, 1), line(NOON, 2) | {"id": "17"}])
    with path.open("a") as stream:
        stream.write('{"id": 3}\n{"id": "torn')
    done = compact(home, "churn", "predictions")
    assert (done.rows, done.unreadable) == (1, 2)


def test_labels_and_predictions_do_not_meet(home: Path) -> None:
    ship(home, [line(NOON, 1)], "s-00000001")
    ship(home, [truth("a", 1, NOON), truth("a", "no", NOON + 1)], "s-00000001.labels")
    assert compact(home, "churn", "labels").rows == 2
    assert waiting(home, "churn", "predictions") == ["s-00000001.jsonl"]
    assert labels(home, "churn")["label"].tolist() == ["1", "no"]
    assert labels(home, "churn", since=NOON + 0.5)["label"].tolist() == ["no"]


def test_many_segments_are_read_in_batches_that_fit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.prediction_log.compaction.BATCH_BYTES", 600)
    assert BATCH_BYTES > 600
    for number in range(7):
        ship(home, [line(NOON, number)], f"s-{number:08d}")
    assert compact(home, "churn", "predictions").segments == 7
    assert len(list((home / "predictions/churn/batches").glob("*.json"))) > 2
    assert len(ids(home)) == 7


def test_what_a_batch_wrote_goes_when_its_segment_was_removed(home: Path) -> None:
    # As a process leaves it that died between the file and the manifest.
    ship(home, [line(NOON, 1)], "a")
    gone = ship(home, [line(NOON, 2)], "b")
    kept = {path.name: path.read_bytes() for path in gone.parent.iterdir()}
    compact(home, "churn", "predictions")
    (manifest,) = (home / "predictions/churn/batches").glob("*.json")
    manifest.unlink()
    note = {"segments": ["a.jsonl", "b.jsonl"], "begun": NOON}
    (manifest.parent / "pending.json").write_text(json.dumps(note))
    (gone.parent / "a.jsonl").write_bytes(kept["a.jsonl"])
    compact(home, "churn", "predictions")
    assert len(ids(home)) == 1


COMPACT = """
    import sys
    from pathlib import Path
    from ml_assets.prediction_log import compaction
    from ml_assets.core import files
    import os, signal
    left = int(sys.argv[2])
    # Killed at the n-th change of the disk.
    def counted(function):
        def wrapped(*args, **kwargs):
            global left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*args, **kwargs)
        return wrapped
    for name in ("replace", "link", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    Path.unlink = counted(Path.unlink)
    compaction.BATCH_BYTES = 5_000
    compaction.compact(Path(sys.argv[1]), "churn", "predictions")
"""


@pytest.mark.slow
def test_a_kill_at_any_change_of_the_disk_neither_loses_nor_doubles(
    home: Path,
) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    expected: list[str] = []
    killed, step = 0, 0
    while True:
        for number in range(4):
            name = f"s{step:03d}-{number:08d}"
            moment = NOON + 43_000 + 100 * number + step
            lines = [line(moment + n, n) for n in range(10)]
            expected += [item["id"] for item in lines]
            ship(home, lines, name)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(COMPACT), str(home), str(step)],
            env=env,
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed, step = killed + 1, step + 3
    assert killed > 10
    assert ids(home) == sorted(expected)
    assert waiting(home, "churn", "predictions") == []


YEAR = 365 * 86_400.0


@pytest.mark.parametrize("ahead", [0.0, 90.0, 7200.0, 10 * YEAR])
def test_what_is_dated_ahead_was_made_when_it_came(home: Path, ahead: float) -> None:
    before = time.time()
    ship(home, [line(before + ahead, 1), line(before - 5, 2)])
    ship(home, [truth("a", "no", before + ahead), truth("a", "no", 5.0)], "a.labels")
    done = compact(home, "churn", "predictions")
    compacted = compact(home, "churn", "labels")
    after = time.time()
    times = [t for day in predictions(home, "churn", []) for t in day["time"]]
    received = labels(home, "churn")["received"].tolist()
    assert before <= max(times) <= after and before <= max(received) <= after
    assert (min(times), min(received)) == (before - 5, 5.0)
    assert done.ahead == compacted.ahead == (ahead > 60)
    assert before <= newest_time(home, "churn") <= after


def test_a_batch_that_is_made_again_after_a_kill_has_the_same_times(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(home, [line(time.time() + YEAR, 1)])
    at = []
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(compaction, "create_bytes", killed)
            with pytest.raises(InterruptedError):
                compact(home, "churn", "predictions")
        at += [day["time"].tolist() for day in predictions(home, "churn", [])]
    compact(home, "churn", "predictions")
    at += [day["time"].tolist() for day in predictions(home, "churn", [])]
    assert at[0] == at[1] == at[2] and len(at) == 3


def killed(*_: object) -> None:
    raise InterruptedError


def test_a_batch_that_an_older_release_began_is_finished(home: Path) -> None:
    ship(home, [line(NOON, 1)], "s-00000001")
    (segment,) = waiting(home, "churn", "predictions")
    # It noted the segments alone.
    note = home / "predictions/churn/batches/pending.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps([segment]))

    assert compact(home, "churn", "predictions").rows == 1

    assert len(ids(home)) == 1
    assert not note.exists()
