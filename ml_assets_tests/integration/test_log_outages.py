"""The storage is cut off while the log is shipped and compacted: nothing is lost."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import StorageUnavailableError, storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.serving.log import prediction_log
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.rendezvous import ServerLease
from ml_assets.serving.settings import ServerSettings
from ml_assets.state.logged import predictions
from ml_assets_tests.kits.outages import Mode, Outage
from ml_assets_tests.kits.prediction_log import NOON, line, send

pytestmark = pytest.mark.slow
MODES = ("refuse", "hang", "lose")


def ids() -> list[str]:
    parts = list(predictions("churn", ["id"]))
    return [str(value) for part in parts for value in part["id"]]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_logged_while_the_storage_is_cut_off_is_shipped_after(
    outage: Outage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    monkeypatch.setattr(prediction_log, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(prediction_log, "TICK_SECONDS", 0.01)
    settings = ServerSettings(
        home=str(tmp_path), storage=storage().url, segment_seconds=0.02
    )
    metrics, logged = Metrics(), []
    lease = ServerLease(tmp_path, "me")
    logs = LogKeeper(settings, metrics, "me")

    def answer(count: int) -> None:
        for _ in range(count):
            item = line(NOON + len(logged), len(logged))
            logged.append(item["id"])
            logs.log_of("churn").append(json.dumps(item).encode() + b"\n", 1)
            time.sleep(0.005)

    logs.start()
    answer(20)
    outage.mode = mode
    answer(20)
    # An outage is noticed; the reply that is lost is made up for.
    while not metrics.shipping_errors and outage.mode == mode:
        answer(1)
    outage.mode = "through"
    answer(20)
    logs.close()
    lease.release()
    assert not list((tmp_path / "log").rglob("*.jsonl"))
    assert storage().children("unshipped") == []
    compact("churn", "predictions")
    assert ids() == sorted(logged)


@pytest.mark.parametrize("mode", MODES)
def test_a_compaction_that_is_cut_off_is_made_up_for_by_the_next(
    outage: Outage, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    for step in range(4):
        _compact_with_outage(outage, monkeypatch, mode, step)


def _compact_with_outage(
    outage: Outage, monkeypatch: pytest.MonkeyPatch, mode: Mode, step: int
) -> None:
    """Cut the storage off at one of the steps of a compaction."""
    import obstore

    before = ids()
    lines = [line(NOON + 100 * step + n, n) for n in range(6)]
    for number in range(3):
        send(lines[2 * number : 2 * number + 2], f"s{step}-{number:08d}")
    name = ("list", "get", "put", "delete")[step]
    function = getattr(obstore, name)

    def cut_off(*given: Any, **named: Any) -> Any:
        outage.mode = mode
        return function(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(obstore, name, cut_off)
        try:
            compact("churn", "predictions")
        except StorageUnavailableError as error:
            assert mode != "lose" and "does not answer" in str(error)
    outage.mode = "through"
    compact("churn", "predictions")
    assert ids() == sorted([*before, *(item["id"] for item in lines)])
    assert not list(storage().objects("segments/churn"))


def test_a_server_stops_in_time_while_the_storage_hangs(
    outage: Outage, tmp_path: Path
) -> None:
    settings = ServerSettings(
        home=str(tmp_path), storage=storage().url, shutdown_seconds=1
    )
    lease = ServerLease(tmp_path, "me")
    logs = LogKeeper(settings, Metrics(), "me")
    logs.start()
    logs.log_of("churn").append(b"1\n", 1)
    outage.mode = "hang"
    ended = threading.Thread(target=logs.close)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()
    lease.release()
    # The next server of this disk ships it.
    (segment,) = (tmp_path / "log/churn/me").iterdir()
    assert segment.read_bytes() == b"1\n"
