"""Nothing that is referred to is ever removed, wherever a cleanup is killed."""

import datetime as dt
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ml_assets.core.storage import StorageUnavailableError
from ml_assets.core.storage import storage as storage_of_test
from ml_assets.lifecycle import cleanup
from ml_assets.lifecycle.cleanup import clean
from ml_assets.lifecycle.compaction import compact
from ml_assets.lifecycle.holds import hold
from ml_assets.lifecycle.retention import (
    DAY,
    Batch,
    Deletion,
    Service,
    Snapshot,
    Table,
    Version,
    marked,
    plan_retention,
)
from ml_assets.lifecycle.storage_snapshot import made, take_snapshot
from ml_assets.prediction_log.compaction import LogFile
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.batches import Batches
from ml_assets.state.registry import Registry, RegistryError
from ml_assets.state.steps import StepValues
from ml_assets.state.tables import Pointer, Tables
from ml_assets.state.validations import Validations
from ml_assets.state.versions import Versions
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.kits.copies import copy_objects, copy_rows
from ml_assets_tests.kits.outages import Mode, Outage
from ml_assets_tests.kits.prediction_log import line, ship
from ml_assets_tests.kits.records import add_version, serve_version
from ml_assets_tests.kits.stored_tables import backdate, frame, point

NOW = 1_763_899_200.0  # 2025-11-23T12:00:00Z
# The client of the storage has threads, which a fork would not have.
SPAWN = multiprocessing.get_context("spawn")
POLICY = RetentionSpec(versions=2, days=30, predictions_days=20)


# Random histories. A version is made of tables that others may share; plans come and
# go; predictions are made by whatever is active.


@st.composite
def histories(draw: st.DrawFn) -> Snapshot:
    """What random trainings, deployments, rollbacks, holds and answers leave behind."""
    moment, snapshot = NOW - 200 * DAY, Snapshot()
    names: list[str] = []
    for step in range(draw(st.integers(1, 25))):
        moment = min(moment + draw(st.floats(0.0, 25.0)) * DAY, NOW)
        action = draw(
            st.sampled_from(["train", "deploy", "test", "hold", "release", "answer"])
        )
        snapshot = happen(draw, snapshot, action, moment, step, names)
    return snapshot


def happen(
    draw: st.DrawFn,
    snapshot: Snapshot,
    action: str,
    moment: float,
    step: int,
    names: list[str],
) -> Snapshot:
    if action == "train" or not names:
        name = f"v{step:03d}"
        names.append(name)
        raw, features = f"r{draw(st.integers(0, 3))}", f"f{draw(st.integers(0, 5))}"
        pair = (Table("raw", raw), Table("features", features))
        run = [Pointer(t.stage, name, t.version, None, moment) for t in pair]
        return replace(
            snapshot,
            versions=[*snapshot.versions, Version(name, moment, raw, features)],
            # A table that is there already is not written again.
            tables={**{t: moment for t in pair}, **snapshot.tables},
            pointers=[*snapshot.pointers, *run],
            reports={**snapshot.reports, f"reports/m/validation/{raw}.json": moment},
            current=frozenset(pair),
        )
    chosen = draw(st.sampled_from(names))
    live = snapshot.services[-1] if snapshot.services else None
    if action in ("deploy", "test"):
        arms = {chosen} | ({*live.versions} if live and action == "test" else set())
        previous = draw(st.sampled_from(names)) if live else None
        services = [*snapshot.services, Service(moment, frozenset(arms))]
        return replace(snapshot, services=services, previous=previous)
    if action == "hold":
        return replace(snapshot, on_hold=snapshot.on_hold | {chosen})
    if action == "release":
        return replace(snapshot, on_hold=snapshot.on_hold - {chosen})
    if live is None:
        return snapshot
    # A server may be late to go over to the newest plan, and its log too.
    made_by = draw(st.sampled_from(snapshot.services[-2:])).versions
    if draw(st.booleans()):
        return replace(snapshot, segment_versions=snapshot.segment_versions | made_by)
    batch = Batch(f"b{step}", moment, made_by)
    return replace(snapshot, batches=[*snapshot.batches, batch])


def without(snapshot: Snapshot, item: Deletion) -> Snapshot:
    """What a deletion leaves."""
    if item.kind == "predictions":
        return replace(
            snapshot, batches=[b for b in snapshot.batches if b.name != item.name]
        )
    if item.kind == "version":
        return replace(
            snapshot, versions=[v for v in snapshot.versions if v.name != item.name]
        )
    if item.kind == "pointer":
        left = [p for p in snapshot.pointers if f"{p.stage}/{p.run}" != item.name]
        return replace(snapshot, pointers=left)
    if item.kind == "table":
        kept = {
            t: at
            for t, at in snapshot.tables.items()
            if f"{t.stage}/{t.version}" != item.name
        }
        return replace(snapshot, tables=kept)
    return snapshot


def dangling(snapshot: Snapshot, now: float) -> list[str]:
    """References to what is not there."""
    versions = {version.name for version in snapshot.versions}
    wanted = {*snapshot.on_hold, *snapshot.segment_versions}
    if snapshot.previous is not None:
        wanted.add(snapshot.previous)
    if snapshot.services:
        wanted |= snapshot.services[-1].versions
    for batch in snapshot.batches:
        if batch.end >= now - POLICY.predictions_days * DAY:
            wanted |= batch.versions
    tables = {
        *snapshot.current,
        *(Table(p.stage, p.data_version) for p in snapshot.pointers),
    }
    for version in snapshot.versions:
        tables |= {
            Table("raw", version.raw_version),
            Table("features", version.features_version),
        }
    return [*map(str, wanted - versions), *map(str, tables - {*snapshot.tables})]


@settings(max_examples=400, deadline=None)
@given(histories(), st.floats(0.0, 150.0))
def test_no_reference_dangles_wherever_a_cleanup_is_killed(
    snapshot: Snapshot, later: float
) -> None:
    now = NOW + later * DAY
    assert dangling(snapshot, now) == []
    for item in plan_retention(snapshot, POLICY, now):
        snapshot = without(snapshot, item)
        assert dangling(snapshot, now) == []
    # Nothing is left for a second cleanup, of what the first may remove.
    kinds = {"predictions", "version", "pointer", "table"}
    again = [i for i in plan_retention(snapshot, POLICY, now) if i.kind in kinds]
    assert again == []


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_version_stays_only_for_a_reason(snapshot: Snapshot) -> None:
    names = {version.name for version in snapshot.versions}
    marks = marked(snapshot, POLICY, NOW)
    going = {
        i.name for i in plan_retention(snapshot, POLICY, NOW) if i.kind == "version"
    }
    assert going == names - marks.keys()
    assert len(names) - len(going) >= min(len(names), POLICY.versions)


OLD = Version("v1", NOW - 100 * DAY, "r1", "f1")
NEWER = [Version(f"v{n}", NOW - 90 * DAY, "r2", "f2") for n in (2, 3)]
REASONS = {
    "in service": {"services": [Service(NOW - 99 * DAY, frozenset({"v1"}))]},
    "about to be in service": {"proposed": frozenset({"v1"})},
    "a rollback returns to it": {"previous": "v1"},
    "on hold": {"on_hold": frozenset({"v1"})},
    "its predictions are kept": {"segment_versions": frozenset({"v1"})},
}


@pytest.mark.parametrize("reason, given_snapshot", REASONS.items(), ids=REASONS)
def test_an_old_version_stays_while_something_needs_it(
    reason: str, given_snapshot: dict[str, Any]
) -> None:
    snapshot = Snapshot(versions=[OLD, *NEWER], **given_snapshot)
    assert marked(snapshot, POLICY, NOW)["v1"] == reason
    free = Snapshot(versions=[OLD, *NEWER])
    assert [item.name for item in plan_retention(free, POLICY, NOW)] == ["v1"]


def test_the_predictions_of_a_plan_that_ended_lately_keep_its_version() -> None:
    ended = [
        Service(NOW - 99 * DAY, frozenset({"v1"})),
        Service(NOW - 10 * DAY, frozenset({"v3"})),
    ]
    snapshot = Snapshot(versions=[OLD, *NEWER], services=ended)
    assert marked(snapshot, POLICY, NOW)["v1"] == "its predictions are kept"
    assert "v1" not in marked(snapshot, POLICY, NOW + 12 * DAY)


# On files.

# What writers of objects left that were killed.
LEFT = ("tables/churn/raw/dead.parquet#1", "pinned/churn/1/dead.json#1")


@pytest.fixture
def storage(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six old versions, the fourth in service, the first on hold, with predictions."""
    monkeypatch.setattr(Registry, "remove", lambda *_: None)
    monkeypatch.setattr(Registry, "set_aliases", lambda *_: [])
    for number in range(1, 7):
        record = add_version(home, f"2025010{number}T000000Z")
        for stage, version in (
            ("raw", record.raw_version),
            ("features", record.features_version),
        ):
            point("churn", stage, record.run_id, version)
        if number in (3, 4):
            serve_version(home, record, created_at=f"2025-01-1{number}T00:00:00+00:00")
    hold(LocalTarget(), "churn", "20250101T000000Z", "user ana", "evidence")
    ship(home, [line(NOW - 40 * DAY, n, version="20250104T000000Z") for n in range(9)])
    compact("churn", "predictions")
    fresh = [line(NOW - 2 * DAY, n, version="20250104T000000Z") for n in range(9)]
    ship(home, fresh, "s-00000001")
    compact("churn", "predictions")
    ship(home, [line(NOW - DAY, 1, version="20250102T000000Z")], "s-00000002")
    for name in LEFT:
        (home / name).write_bytes(b"half")
    StepValues().write("churn", "run", "churn__raw_read[1]/result", {})
    backdate("churn", NOW - 60 * DAY)
    for path in home.rglob("*"):
        os.utime(path, (NOW - 60 * DAY, NOW - 60 * DAY))
    return home


def files(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and ".lock" not in path.name
    }


def test_a_dry_run_lists_what_would_go_and_removes_nothing(storage: Path) -> None:
    before = files(storage)
    planned = clean(LocalTarget(), "churn", POLICY, NOW, dry_run=True)
    assert files(storage) == before
    done = clean(LocalTarget(), "churn", POLICY, NOW)
    assert done.deletions == planned.deletions and done.bytes == planned.bytes > 0
    assert done.postponed == []


def test_what_is_in_use_stays_and_the_rest_goes(storage: Path) -> None:
    done = clean(LocalTarget(), "churn", POLICY, NOW)
    # 1 is on hold, 2 has a segment, 3 is previous, 4 serves, 5 and 6 are the newest.
    assert Versions().names("churn") == [
        f"2025010{n}T000000Z" for n in (1, 2, 3, 4, 5, 6)
    ]
    assert {item.kind for item in done.deletions} == {
        "predictions",
        "pointer",
        "steps",
        "leftover",
    }
    assert StepValues().runs("churn") == []
    assert not any((storage / name).exists() for name in LEFT)
    assert len(list(storage.glob("predictions/churn/*/*.parquet"))) == 1
    (storage / "segments/churn/s-00000002.jsonl").unlink()
    few = POLICY.model_copy(update={"versions": 1})
    done = clean(LocalTarget(), "churn", few, NOW)
    left = [f"2025010{n}T000000Z" for n in (1, 3, 4, 6)]
    assert Versions().names("churn") == left
    assert {item.kind for item in done.deletions} == {"version", "table", "report"}
    assert {path.stem for path in storage.glob("tables/churn/raw/*.parquet")} == {
        f"raw{name}" for name in left
    }
    assert not (storage / "versions/churn/20250102T000000Z").exists()
    assert clean(LocalTarget(), "churn", few, NOW).deletions == []


def test_a_version_that_the_registry_does_not_let_go_keeps_its_tables(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RegistryError("it cannot be reached")

    monkeypatch.setattr(Registry, "remove", refuse)
    few = POLICY.model_copy(update={"versions": 1})
    done = clean(LocalTarget(), "churn", few, NOW)
    assert done.postponed == ["version 20250105T000000Z: it cannot be reached"]
    assert (storage / "tables/churn/raw/raw20250105T000000Z.parquet").exists()


def test_a_table_that_a_run_takes_up_meanwhile_stays(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "raw20250105T000000Z"
    remove = cleanup.REMOVERS["version"]

    def take_up(*given: Any) -> None:
        point("churn", "raw", "new", table)
        remove(*given)

    monkeypatch.setitem(cleanup.REMOVERS, "version", take_up)
    few = POLICY.model_copy(update={"versions": 1})
    done = clean(LocalTarget(), "churn", few, NOW)
    assert done.postponed == [f"table raw/{table}: a run took it up"]
    assert (storage / f"tables/churn/raw/{table}.parquet").exists()


def _clean(home: Path) -> None:
    few = POLICY.model_copy(update={"versions": 1})
    clean(LocalTarget(), "churn", few, NOW)


def _clean_after(event: Any, home: Path) -> None:
    """In a process of its own, which has no registry either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "remove", lambda *_: None)
        event.wait()
        _clean(home)


def test_two_cleanups_at_once_do_what_one_does(storage: Path) -> None:
    at_once = SPAWN.Event()
    given = (at_once, storage)
    workers = [SPAWN.Process(target=_clean_after, args=given) for _ in range(2)]
    for worker in workers:
        worker.start()
    at_once.set()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert_sound(storage)


def test_a_cleanup_waits_for_a_deployment(storage: Path) -> None:
    (storage / "segments/churn/s-00000002.jsonl").unlink()
    may_clean = SPAWN.Event()
    cleaning = SPAWN.Process(target=_clean_after, args=(may_clean, storage))
    cleaning.start()
    with LocalTarget().lock("churn"):
        may_clean.set()
        # Under the deployer's lock, a version that would go becomes active.
        record = Versions().get("churn", "20250102T000000Z")
        serve_version(storage, record)
    cleaning.join()
    assert cleaning.exitcode == 0
    assert_sound(storage)
    assert "20250102T000000Z" in Versions().names("churn")


def assert_sound(root: Path) -> None:
    snapshot = take_snapshot("churn", NOW)
    assert dangling(snapshot, NOW) == []


@pytest.fixture
def installed(storage: Path, installation: str) -> Path:
    """The same, wherever objects and rows may be."""
    copy_rows(storage)
    copy_objects(storage)
    return storage


@pytest.mark.parametrize("survives", range(0, 38, 3))
def test_a_killed_cleanup_is_finished_by_the_next(storage: Path, survives: int) -> None:
    clean_and_die(storage, survives)
    assert_finished(storage)


@pytest.mark.parametrize("survives", range(0, 24, 6))
def test_a_killed_cleanup_is_finished_by_the_next_wherever_it_cleans(
    installed: Path, survives: int
) -> None:
    clean_and_die(installed, survives)
    assert_finished(installed)


def clean_and_die(home: Path, survives: int) -> None:
    """Clean up until so many changes were begun; what changes nothing goes on."""
    left = [survives]

    def dying(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return step(*given)

        return call

    storage_of_test().remove(["segments/churn/s-00000002.jsonl"])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        # Nothing else changes rows or objects.
        patch.setattr(obstore, "delete", dying(obstore.delete))
        patch.setattr(Connection, "commit", dying(Connection.commit))
        _clean(home)


def assert_finished(home: Path) -> None:
    """What a cleanup that was broken off has left is whole; the next one ends it."""
    assert_sound(home)
    _clean(home)
    assert_sound(home)
    assert len(Versions().names("churn")) == 4
    few = POLICY.model_copy(update={"versions": 1})
    assert clean(LocalTarget(), "churn", few, NOW).deletions == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "outage, mode",
    [("s3", "refuse"), ("s3", "lose"), ("azure", "hang"), ("azure", "lose")],
    indirect=["outage"],
)
def test_a_cleanup_whose_storage_is_cut_off_is_finished_by_the_next(
    storage: Path, outage: Outage, mode: Mode
) -> None:
    copy_objects(storage)
    storage_of_test().remove(["segments/churn/s-00000002.jsonl"])
    with outage.cut_at(3, mode) as was_reached:
        try:
            _clean(storage)
        except StorageUnavailableError as error:
            assert mode != "lose" and "does not answer for" in str(error)
    assert was_reached()
    assert_finished(storage)


@pytest.mark.usefixtures("installation")
def test_tables_and_reports_go_wherever_they_are(home: Path) -> None:
    tables, validations = Tables(), Validations()
    for version in ("older", "newer"):
        report = {"data_version": version, "summary": {"passed": True}}
        tables.write("churn", "raw", f"run-{version}", frame(version))
        validations.save("churn", version, report)
        tables.accept("churn", "raw", version)
    StepValues().write("churn", "run", "step/result", {"number": 1})
    target, later = LocalTarget(), time.time() + 100 * DAY
    assert clean(target, "churn", POLICY, time.time()).deletions == []
    done = clean(target, "churn", POLICY, later)
    assert [item.kind for item in done.deletions] == [
        *("pointer", "pointer", "table", "report", "steps"),
    ]  # fmt: skip
    assert done.bytes > 0 and done.postponed == []
    assert not tables.exists("churn", "raw", "older")
    assert validations.report("churn", "older") is None
    assert tables.read("churn", "raw", tables.version("churn", "raw")).shape == (3, 2)
    assert validations.report("churn", "newer") is not None
    assert clean(target, "churn", POLICY, later).deletions == []


@pytest.mark.usefixtures("installation", "registry")
def test_what_a_killed_training_left_goes_after_a_day(home: Path) -> None:
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    version = Versions().reserve("churn", "run", lambda: now)
    storage_of_test().put(f"versions/churn/{version}/spec.json", b"{}")
    # Of this one, a cleanup that was killed removed the row.
    storage_of_test().put("versions/churn/20250101T000000Z/spec.json", b"{}")
    target = LocalTarget()
    assert [
        item.name for item in clean(target, "churn", POLICY, time.time()).deletions
    ] == ["versions/churn/20250101T000000Z"]
    later = time.time() + 2 * DAY
    (gone,) = clean(target, "churn", POLICY, later).deletions
    assert (gone.kind, gone.name) == ("leftover", f"versions/churn/{version}")
    assert storage_of_test().children("versions/churn") == []
    assert Versions().unfinished("churn") == {}


def test_a_version_is_as_old_as_its_name() -> None:
    assert made("20251123T120000Z") == NOW


def test_predictions_that_are_dated_ahead_go_when_their_file_is_old() -> None:
    from ml_assets.lifecycle.storage_snapshot import _end_of

    ahead, honest = (
        LogFile("n", "b", day, rows=1, newest=NOW - 9 * DAY, sha256="", versions=[])
        for day in ("2090-01-01", "2025-02-01")
    )
    assert _end_of(ahead, NOW) == NOW - 9 * DAY
    assert _end_of(honest, NOW) < NOW


def test_what_a_killed_compaction_uploaded_goes_after_a_day(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {path.name for path in storage.glob("predictions/churn/*/*")}
    ship(storage, [line(NOW - DAY, 1, version="20250104T000000Z")], "s-00000003")
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "commit", killed)
        with pytest.raises(InterruptedError):
            compact("churn", "predictions")
    (left,) = {path for path in storage.glob("predictions/churn/*/*")} - {
        path for path in storage.glob("predictions/churn/*/*") if path.name in counted
    }
    now = time.time()
    clean(LocalTarget(), "churn", RetentionSpec(predictions_days=10_000), now)
    assert left.exists()
    os.utime(left, (now - 3 * DAY, now - 3 * DAY))
    done = clean(LocalTarget(), "churn", RetentionSpec(predictions_days=10_000), now)
    assert left.relative_to(storage).as_posix() in [
        item.name for item in done.deletions
    ]
    assert not left.exists()


def killed(*_: object) -> None:
    raise InterruptedError
