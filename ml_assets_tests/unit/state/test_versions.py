"""Versions are named by time, exist once recorded, and are found again."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from ml_assets.state.versions import UnknownVersionError, VersionRecord, Versions

SUNDAY = dt.datetime(2026, 11, 22, 2, 0, tzinfo=dt.UTC)


def make_record(version: str, **overrides: str) -> VersionRecord:
    record = VersionRecord(
        model="churn",
        version=version,
        files={},
        runtime="compiled",
        runtime_reason="",
        fingerprint="f",
        raw_version="r",
        features_version="t",
        code_version="c",
        git_commit="g",
        environment="e",
        run_id="run",
        registry_uri="u",
        registry_run="m",
        registry_version="1",
        estimator="sklearn.dummy.DummyClassifier",
        params={},
        train_rows=8,
        test_rows=2,
        fit_seconds=0.1,
    )
    return msgspec.structs.replace(record, **overrides)


def test_a_version_is_named_by_its_utc_time(tmp_path: Path) -> None:
    assert Versions().reserve("churn", "a", lambda: SUNDAY) == ("20261122T020000Z")


def test_two_trainings_in_one_second_get_two_names(tmp_path: Path) -> None:
    store = Versions()
    names = [store.reserve("churn", run, lambda: SUNDAY) for run in ("a", "b", "c")]
    assert names == ["20261122T020000Z", "20261122T020001Z", "20261122T020002Z"]


def test_a_reserved_version_does_not_exist_before_its_record(tmp_path: Path) -> None:
    store = Versions()
    version = store.reserve("churn", "run", lambda: SUNDAY)
    assert store.names("churn") == []
    store.save(make_record(version))
    assert store.records("churn") == [make_record(version)]
    assert store.models() == ["churn"]


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    store = Versions()
    store.save(make_record("20261122T020000Z"))
    with pytest.raises(FileExistsError, match="20261122T020000Z of churn already has"):
        store.save(make_record("20261122T020000Z", fingerprint="other"))
    assert store.get("churn", "20261122T020000Z").fingerprint == "f"


def test_an_unknown_version_is_reported_with_those_that_exist(tmp_path: Path) -> None:
    store = Versions()
    store.save(make_record("20261122T020000Z"))
    with pytest.raises(
        UnknownVersionError, match="no version x; its latest are: 20261122T020000Z"
    ):
        store.get("churn", "x")


def test_an_evaluation_is_kept_beside_its_version(tmp_path: Path) -> None:
    store = Versions()
    assert store.evaluation("churn", "v") is None
    store.save_evaluation("churn", "v", {"gate": {"passed": True}})
    assert store.evaluation("churn", "v") == {"gate": {"passed": True}}
