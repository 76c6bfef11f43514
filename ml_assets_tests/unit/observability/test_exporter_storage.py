import threading
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import Storage
from ml_assets.observability.exporter.metric_families import FoldedSeries
from ml_assets.observability.exporter.storage import StorageSource, notification_counts
from ml_assets.observability.notifications.messages import Notification
from ml_assets.observability.notifications.notifier import Notifier
from ml_assets.observability.notifications.slack import Slack
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits import exporter as kit
from ml_assets_tests.kits.ledger_rows import edit, rewrite
from ml_assets_tests.kits.records import add_version, serve_version
from ml_assets_tests.kits.slack import slack_double

OLD, NEW = "20261116T020000Z", "20261123T020000Z"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tmp_path))
    for version in (OLD, NEW):
        serve_version(tmp_path, add_version(tmp_path, version))
    return tmp_path


@pytest.fixture
def source(root: Path) -> StorageSource:
    return StorageSource(FoldedSeries())


def append(root: Path, kind: Any, who: str, model: str = "churn", **given: Any) -> None:
    about = {"version": NEW, "generation": None, "why": "it is", "evidence": {}}
    Ledger().append(model, kind, who=who, **{**about, **given})


def test_versions_plans_and_the_gate_have_series(source: StorageSource) -> None:
    found = kit.polled(source)
    info = {"model": "churn", "version": NEW, "role": "live", "generation": "2"}
    assert kit.value(found, "ml_assets_model_info", **info) == 1
    version = {"model": "churn", "version": NEW}
    trained = "ml_assets_version_trained_timestamp_seconds"
    assert kit.value(found, trained, **version) == 1_795_399_200
    metric = {**version, "metric": "accuracy"}
    assert kit.value(found, "ml_assets_version_metric", **metric) == 0.9
    gate = {"model": "churn", "metric": "accuracy"}
    assert kit.value(found, "ml_assets_gate_threshold", **gate) == 0.8


def test_what_never_changes_is_read_from_the_storage_once(
    source: StorageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kit.polled(source)
    read: list[str] = []
    original = Storage.get

    def get(self: Storage, name: str) -> bytes | None:
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(Storage, "get", get)
    gate = {"model": "churn", "metric": "accuracy"}
    name = "ml_assets_gate_threshold"
    assert kit.value(kit.polled(source), name, **gate) == kit.value(first, name, **gate)
    assert not [item for item in read if item.startswith("versions/")]


@pytest.mark.parametrize(
    "who, key, trigger",
    [
        ("sensor churn_health, run 1", "rollback:1", "automatic"),
        ("schedule churn_monitor, run 1", "experiment:v:roll_back", "automatic"),
        ("run 1", "experiment:v:roll_back", "automatic"),
        ("user ana", "rollback:1", "manual"),
        ("user ana", "experiment:v:stop", "manual"),
    ],
)
def test_a_rollback_is_automatic_or_by_hand(
    root: Path, source: StorageSource, who: str, key: str, trigger: str
) -> None:
    name, labels = "ml_assets_rollbacks_total", {"model": "churn", "trigger": trigger}
    assert kit.value(kit.polled(source), name, **labels) == 0
    append(root, "rollback", who, key=key)
    found = kit.polled(source)
    assert kit.value(found, name, **labels) == 1
    assert sum(value for (item, _), value in found.items() if item == name) == 1


def test_deployments_refusals_and_holds_are_counted(
    root: Path, source: StorageSource
) -> None:
    append(root, "refusal", "run 1")
    append(root, "hold", "user ana")
    found = kit.polled(source)
    deployed = {"model": "churn", "kind": "deployment"}
    assert kit.value(found, "ml_assets_deployments_total", **deployed) == 2
    assert kit.value(found, "ml_assets_refusals_total", model="churn") == 1
    assert kit.value(found, "ml_assets_versions_on_hold", model="churn") == 1


def test_a_ledger_that_was_edited_is_not_intact(
    root: Path, source: StorageSource
) -> None:
    name = "ml_assets_ledger_intact"
    assert kit.value(kit.polled(source), name, model="churn") == 1
    rewrite(lambda found: [*found[:-1], edit(found[-1], who="user eve")])
    restarted = StorageSource(FoldedSeries())
    assert kit.value(kit.polled(restarted), name, model="churn") == 0


def test_columns_without_a_series_are_counted(
    root: Path, source: StorageSource
) -> None:
    columns = [
        {"column": f"c{n}", "psi": n / 1000, "drifted": False} for n in range(103)
    ]
    report = {"drifted": False, "columns": columns}
    DriftReports().add("churn", "x", "raw", NEW, report)
    found = kit.polled(source)
    about = {"model": "churn", "source": "raw"}
    assert kit.value(found, "ml_assets_drift_columns_omitted", **about) == 3
    assert kit.value(found, "ml_assets_drift_psi", **about, column="c3") == 0.003
    series = [labels for (item, labels) in found if item == "ml_assets_drift_psi"]
    assert len(series) == 100


def test_the_last_drift_report_of_each_source_has_series(
    root: Path, source: StorageSource
) -> None:
    columns = [
        {"column": "months", "psi": 0.02, "drifted": False},
        {"column": "spend", "psi": 0.4, "drifted": True},
    ]
    found = {"drifted": True, "columns": columns}
    DriftReports().add("churn", "of-before", "predictions", NEW, {"columns": []})
    DriftReports().add("churn", "x", "predictions", NEW, found)
    DriftReports().add("churn", "y", "raw", NEW, {"columns": []})
    found = kit.polled(source)
    about = {"model": "churn", "source": "predictions"}
    assert kit.value(found, "ml_assets_drift_detected", **about) == 1
    assert kit.value(found, "ml_assets_drift_columns", **about) == 1
    assert kit.value(found, "ml_assets_drift_max_psi", **about) == 0.4
    one = {**about, "column": "months"}
    assert kit.value(found, "ml_assets_drift_psi", **one) == 0.02


def test_a_refused_release_and_an_approval_are_counted(
    root: Path, source: StorageSource
) -> None:
    append(root, "approval", "user ana", "release")
    append(root, "refusal", "sensor release, run 1", "release")
    found = kit.polled(source)
    assert kit.value(found, "ml_assets_release_approvals_total") == 1
    refused = {"environment": "production", "outcome": "refused"}
    assert kit.value(found, "ml_assets_releases_total", **refused) == 1
    assert ("ml_assets_refusals_total", frozenset({("model", "release")})) not in found


def test_outcomes_of_releases_are_counted_by_environment(
    root: Path, source: StorageSource
) -> None:
    staging, production = {"environment": "staging"}, {"environment": "production"}
    returned = {"returned": True}
    for kind, evidence in (
        ("release_staging", staging),
        ("release_failure", staging | returned),
        ("release_production", production),
        ("release_failure", production | {"returned": False}),
        ("rollback", production),
    ):
        append(root, kind, "run 1", "release", evidence=evidence)
    found = kit.polled(source)
    for environment in (staging, production):
        for outcome in ("success", "failure"):
            about = {**environment, "outcome": outcome}
            assert kit.value(found, "ml_assets_releases_total", **about) == 1
    for environment, trigger, number in (
        (staging, "automatic", 1),
        (staging, "manual", 0),
        (production, "automatic", 0),
        (production, "manual", 1),
    ):
        about = {**environment, "trigger": trigger}
        name = "ml_assets_release_rollbacks_total"
        assert kit.value(found, name, **about) == number


def test_a_storage_that_is_away_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tmp_path / "away"))
    with pytest.raises(FileNotFoundError, match="there is no storage"):
        StorageSource(FoldedSeries()).poll(threading.Event())


def test_attempts_to_notify_are_counted_and_every_series_begins_at_zero(
    home: Path,
) -> None:
    with slack_double() as slack:
        notifier = Notifier(Slack(slack.url))
        notifier.notify(Notification("k", "drift", 0.0, "churn drifts", ""))
    values = {
        (sample.labels["kind"], sample.labels["result"]): sample.value
        for sample in notification_counts(FoldedSeries()).samples
    }
    assert values.pop(("drift", "delivered")) == 1
    assert values[("release", "refused")] == 0
    assert set(values.values()) == {0}
