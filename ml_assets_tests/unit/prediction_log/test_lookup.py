"""A prediction is found by its id in the storage, and only what may hold it is read."""

from pathlib import Path

import pytest

from ml_assets.core.storage import Storage, storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.prediction_log.lookup import find
from ml_assets_tests.kits.prediction_log import NOON, line, prediction_id, send


def test_it_is_found_in_a_segment_and_then_in_parquet(
    installation: str, tmp_path: Path
) -> None:
    lines = [line(NOON + n, n, entity=f"e{n}") for n in range(300)]
    send(lines[:150], "a-00000001")
    send(lines[150:], "a-00000002")
    wanted = lines[170]
    for where in ("segments/churn/a-00000002.jsonl", "predictions/churn/2026-11-23/"):
        found = find(tmp_path, storage(), wanted["id"])
        assert found is not None and found.where.startswith(where)
        assert (found.model, found.records[0]["entity"]) == ("churn", "e170")
        assert find(tmp_path, storage(), wanted["id"], ["churn"]) is not None
        assert find(tmp_path, storage(), wanted["id"], ["other"]) is None
        assert find(tmp_path, storage(), prediction_id(NOON + 5, 9)) is None
        compact("churn", "predictions")


def test_only_the_files_of_its_moment_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(NOON + 60 * n, n) for n in range(20)]
    for number, item in enumerate(lines):
        send([item], f"s-{number:08d}")
        compact("churn", "predictions")
    opened, open_ = [], Storage.open

    def counted(store: Storage, name: str) -> object:
        opened.append(name)
        return open_(store, name)

    monkeypatch.setattr(Storage, "open", counted)
    assert find(tmp_path, storage(), lines[7]["id"]) is not None
    assert len(opened) == 1
