"""The prediction log of the last release is read and compacted as it was."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml_assets.core.files import sha256_file, write_json
from ml_assets.core.storage import storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.lifecycle.migration import MigrationError
from ml_assets.lifecycle.migration.prediction_log import migrate_log
from ml_assets.prediction_log.compaction import _labels, _predictions
from ml_assets.prediction_log.lookup import find
from ml_assets.prediction_log.segments import parse
from ml_assets.state.logged import labels, predictions
from ml_assets_tests.kits.prediction_log import NOON, line, truth


def lines_of(items: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, list[str]]:
    """A batch of predictions and one of labels, and segments beside them."""
    source = tmp_path / "old"
    items = [line(NOON + n, n) for n in range(6)]
    truths = [truth(item["id"], "no", NOON + 9) for item in items]
    for kind, content in (("predictions", items[:4]), ("labels", truths)):
        (records,) = parse([lines_of(content)], kind).by_day.values()  # type: ignore
        make = _predictions if kind == "predictions" else _labels
        table = make(records, NOON + 99)  # type: ignore
        day = "2026-11-23/" if kind == "predictions" else ""
        path = source / f"{kind}/churn/{day}0123456789abcdef.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table, path)
        ending = "" if kind == "predictions" else ".labels"
        manifest = {
            "segments": [f"web-00000001{ending}.jsonl"],
            "files": {path.relative_to(source).as_posix(): sha256_file(path)},
            "rows": len(content),
            "unreadable": 0,
        }
        batch = f"{kind}/churn/batches/0123456789abcdef.json"
        write_json(source / batch, manifest)
    waiting = source / "segments/churn"
    waiting.mkdir(parents=True)
    # The first was compacted by a process that died before it removed it.
    (waiting / "web-00000001.jsonl").write_bytes(lines_of(items[:4]))
    (waiting / "web-00000002.jsonl").write_bytes(lines_of(items[4:]))
    return source, [item["id"] for item in items]


def test_every_line_of_the_old_log_is_there_once(
    installation: str, old: tuple[Path, list[str]], tmp_path: Path
) -> None:
    source, expected = old
    assert migrate_log(source, "churn") == 4
    assert migrate_log(source, "churn") == 0
    assert compact("churn", "predictions").segments == 1
    (day,) = predictions("churn", ["p"])
    assert day["id"].tolist() == sorted(expected)
    assert len(labels("churn")) == 6
    assert find(tmp_path, storage(), expected[2]) is not None


def test_an_installation_may_be_migrated_where_it_is(
    old: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, expected = old
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(source))
    assert migrate_log(source, "churn") == 2
    compact("churn", "predictions")
    (day,) = predictions("churn", [])
    assert day["id"].tolist() == sorted(expected)


def test_a_file_that_was_altered_is_named(old: tuple[Path, list[str]]) -> None:
    source, _ = old
    path = next(source.glob("predictions/churn/*/*.parquet"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(MigrationError, match=f"{path.name} is not the file"):
        migrate_log(source, "churn")
