"""What a server that is gone had on its disk is told, and nothing that arrived."""

import datetime as dt

import pytest

from ml_assets.core.storage import Storage, storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.observability.exporter.prediction_log import missing_segments
from ml_assets.prediction_log import unshipped
from ml_assets.prediction_log.unshipped import forget, report, withdraw
from ml_assets_tests.kits.prediction_log import NOON, line, send, truth

NAMES = {"churn": [f"pod-0000000{n}.jsonl" for n in (1, 2, 3)]}


def counted() -> dict[str, float]:
    samples = missing_segments().samples
    return {sample.labels["model"]: sample.value for sample in samples}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reported something has said nothing since."""
    monkeypatch.setattr(unshipped, "SILENT_SECONDS", -60.0)


@pytest.mark.usefixtures("installation", "silent")
def test_segments_that_never_came_are_counted_and_the_others_are_not() -> None:
    report(storage(), "pod", NAMES | {"other": ["pod-00000001.labels.jsonl"]})
    send([line(NOON, 1)], "pod-00000001")
    assert counted() == {"churn": 2, "other": 1}
    compact("churn", "predictions")
    send([line(NOON, 2)], "pod-00000002")
    assert counted() == {"churn": 1, "other": 1}


@pytest.mark.usefixtures("silent")
def test_labels_and_predictions_of_one_number_are_two_segments() -> None:
    names = ["pod-00000001.jsonl", "pod-00000001.labels.jsonl"]
    report(storage(), "pod", {"churn": names})
    send([truth("a", 1, NOON)], "pod-00000001.labels")
    compact("churn", "labels")
    assert counted() == {"churn": 1}


def test_a_server_that_still_speaks_will_ship_them() -> None:
    report(storage(), "pod", NAMES)
    assert counted() == {}


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    "end",
    [lambda: withdraw(storage(), "pod"), lambda: report(storage(), "pod", {})],
    ids=["withdrawn", "nothing left"],
)
def test_a_server_that_shipped_all_is_forgotten(end: object) -> None:
    report(storage(), "pod", NAMES)
    assert callable(end)
    end()
    assert counted() == {} and storage().children("unshipped") == []


@pytest.mark.usefixtures("silent")
def test_a_loss_is_reported_for_a_week(monkeypatch: pytest.MonkeyPatch) -> None:
    report(storage(), "pod", NAMES)
    objects = Storage.objects

    def older(store: Storage, prefix: str) -> object:
        week = dt.timedelta(days=7, minutes=1)
        for info in objects(store, prefix):
            yield info._replace(modified=info.modified - week)

    forget(storage())
    assert counted() == {"churn": 3}
    monkeypatch.setattr(Storage, "objects", older)
    assert counted() == {}
    forget(storage())
    assert storage().children("unshipped") == []
