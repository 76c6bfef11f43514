"""Drift reports are kept once, and the newest of a source is found."""

import pytest

from ml_assets.core.storage import storage
from ml_assets.state.drift_reports import DriftReports, object_name

REPORT = {"drifted": True, "columns": []}


def add(report: str, source: str = "raw", version: str = "v1") -> bool:
    return DriftReports().add("churn", report, source, version, REPORT)


@pytest.mark.slow
@pytest.mark.usefixtures("database", "any_storage")
class TestEverywhere:
    """On SQLite and Postgres, in a directory, and over the protocols of buckets."""

    def test_a_report_is_kept_once(self) -> None:
        assert not DriftReports().has("churn", "raw-1")
        assert add("raw-1") and not add("raw-1")
        assert DriftReports().has("churn", "raw-1")
        assert DriftReports().read("churn", "raw-1") == REPORT

    def test_the_newest_of_a_source_and_of_a_version_is_found(self) -> None:
        for report, version in (("raw-b", "v1"), ("raw-a", "v2"), ("raw-c", "v1")):
            add(report, version=version)
        add("predictions-1", "predictions")
        store = DriftReports()
        latest = store.latest("churn", "raw")
        assert latest is not None and latest.report == "raw-c"
        other = store.latest("churn", "raw", "v2")
        assert other is not None and other.report == "raw-a"
        assert store.latest("churn", "raw", "v3") is None
        assert {key: made.report for key, made in store.newest().items()} == {
            ("churn", "raw"): "raw-c",
            ("churn", "predictions"): "predictions-1",
        }
        assert store.since("churn", "raw", other.made) == ["raw-a", "raw-c"]

    def test_what_a_killed_run_left_is_taken_up(self) -> None:
        storage().create(object_name("churn", "raw-1"), b'{"drifted": false}')
        assert add("raw-1")
        assert DriftReports().read("churn", "raw-1") == {"drifted": False}

    def test_a_removed_report_is_gone(self) -> None:
        add("raw-1")
        DriftReports().remove("churn", "raw-1")
        assert not DriftReports().has("churn", "raw-1")
        assert DriftReports().read("churn", "raw-1") is None
