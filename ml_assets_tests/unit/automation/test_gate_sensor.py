"""The gate sensor launches what passes once, and names figures of what does not."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest

from ml_assets.assets import retries
from ml_assets.automation.gate_sensor import Progress
from ml_assets.automation.new_events import BATCH
from ml_assets.lifecycle import deployment
from ml_assets.lifecycle.plan_transitions import challenge, drop
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans, retirement_key
from ml_assets.state.registry import RegistryError
from ml_assets.state.versions import Versions
from ml_assets.targets import UnreachableError
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.plans import commit, numbered_plan
from ml_assets_tests.kits.records import add_version
from ml_assets_tests.kits.runs import end_newest, long_ago, run_of

VERSION = "20261122T020000Z"


def gate_sensor_of(spec: Any) -> dg.SensorDefinition:
    return definitions_of(spec).resolve_sensor_def("gate")


def figures(accuracy: float, **others: Any) -> GateFigures:
    given = {"n": 100, "majority": {"accuracy": 0.7}, **others}
    return GateFigures(metrics={"accuracy": accuracy}, **given)


def report(instance: dg.DagsterInstance, version: str, found: GateFigures) -> None:
    """An evaluation in the event log, as the asset writes it."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ["churn", "evaluation"],
            metadata={
                "version": version,
                "figures": dg.MetadataValue.json(found.to_dict()),
            },
        )
    )


@pytest.fixture
def tick(
    instance: dg.DagsterInstance, make_spec: Callable[..., Any]
) -> Callable[[str | None], dg.SensorResult]:
    sensor = gate_sensor_of(make_spec())

    def run(cursor: str | None = None) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        result = sensor(context)  # type: ignore[operator]
        assert isinstance(result, dg.SensorResult)
        return result

    return run


def launched(result: dg.SensorResult) -> list[str]:
    return [str(request.tags["version"]) for request in result.run_requests or []]


def reason_of(result: dg.SensorResult) -> str:
    assert isinstance(result.skip_reason, dg.SkipReason)
    return str(result.skip_reason.skip_message)


def test_without_an_evaluation_it_waits(tick: Any) -> None:
    assert reason_of(tick()) == "no new evaluation"


def test_a_passing_version_is_launched_with_its_name(tick: Any, instance: Any) -> None:
    report(instance, VERSION, figures(0.81))
    result = tick()
    (request,) = result.run_requests
    assert request.run_key == f"churn:{VERSION}"
    assert request.run_config == {
        "ops": {"churn__deployment": {"config": {"version": VERSION}}}
    }


def test_no_version_of_a_retired_model_is_launched(tick: Any, instance: Any) -> None:
    retired = numbered_plan(1)
    commit(retired)
    Ledger().append(
        "churn",
        "retirement",
        "a",
        None,
        who="user ada",
        why="no use",
        evidence={},
        key=retirement_key(retired),
    )
    report(instance, VERSION, figures(0.81))
    assert reason_of(tick()) == "churn is retired: no version is deployed"


@pytest.mark.parametrize(
    "found, reason",
    [
        (figures(0.8), "accuracy 0.8000 is not above 0.8"),
        (figures(0.7999999), "accuracy 0.7999999 is not above 0.8"),
        (figures(math.nan), "accuracy nan is not above 0.8"),
        (
            figures(0.9, majority={"accuracy": 0.9}),
            "accuracy 0.9000 is not above 0.9000 of the majority class",
        ),
        (
            figures(0.85, champion="c", champion_metrics={"accuracy": 0.86}),
            "accuracy 0.8500 is below 0.8600 of the champion c",
        ),
        (
            figures(0.85, champion="c"),
            "the champion c cannot be compared: its accuracy on these rows is not"
            " defined; mend that, or deploy once without comparing",
        ),
    ],
    ids=["exactly", "just below", "nan", "constant", "worse", "incomparable"],
)
def test_a_rejected_version_is_reported_with_its_figures(
    tick: Any, instance: Any, found: GateFigures, reason: str
) -> None:
    report(instance, VERSION, found)
    result = tick()
    assert launched(result) == []
    assert reason_of(result).startswith(f"churn: version {VERSION} is not deployed: ")
    assert reason in reason_of(result)


def test_a_version_is_asked_for_once(tick: Any, instance: Any) -> None:
    report(instance, VERSION, figures(0.9))
    first = tick()
    assert launched(tick(first.cursor)) == []


def test_a_tick_that_was_not_remembered_asks_for_the_same_run_again(
    tick: Any, instance: Any
) -> None:
    report(instance, VERSION, figures(0.9))
    keys = {request.run_key for _ in range(2) for request in tick().run_requests}
    assert keys == {f"churn:{VERSION}"}


def test_an_event_that_appears_late_is_not_passed_over(
    tick: Any, instance: Any
) -> None:
    for number in range(3):
        report(instance, f"v{number}", figures(0.9))
    late = evaluations(instance)[-1]
    assert launched(tick(as_if_it_was_not_there(tick().cursor, late))) == ["v2"]


@pytest.mark.parametrize("count", [3, 50, 51, 200])
def test_each_of_many_versions_is_asked_for_once(
    tick: Any, instance: Any, count: int
) -> None:
    """Also one whose event appears after those of later ones."""
    cursor, asked = None, []
    for number in range(count):
        report(instance, f"v{number}", figures(0.9))
        if number % 7 == 6 or number == count - 1:
            result = tick(cursor)
            asked += launched(result)
            cursor = result.cursor
    assert asked == [f"v{number}" for number in range(count)]
    for _ in range(3):
        result = tick(cursor)
        assert launched(result) == []
        cursor = result.cursor
    before = as_if_it_was_not_there(cursor, evaluations(instance)[-1])
    assert launched(tick(before)) == [f"v{count - 1}"]


def as_if_it_was_not_there(cursor: str, storage_id: int) -> str:
    """The cursor of a sensor to which an event was not visible yet."""
    progress = msgspec.json.decode(cursor, type=Progress)
    handled = progress.events.handled
    assert storage_id in handled
    events = msgspec.structs.replace(progress.events, handled=handled - {storage_id})
    return msgspec.json.encode(
        msgspec.structs.replace(progress, events=events)
    ).decode()


def evaluations(instance: dg.DagsterInstance) -> list[int]:
    """Storage ids of all evaluations, oldest first."""
    records = instance.fetch_materializations(
        dg.AssetKey(["churn", "evaluation"]), limit=1_000, ascending=True
    ).records
    return [record.storage_id for record in records]


@pytest.fixture
def evaluated(tick: Any, instance: Any, home: Path) -> str:
    """The cursor after a version was asked for."""
    add_version(home, VERSION)
    report(instance, VERSION, figures(0.9))
    result = tick()
    assert launched(result) == [VERSION]
    return str(result.cursor)


@pytest.mark.parametrize(
    "status, again",
    [
        (dg.DagsterRunStatus.FAILURE, [f"churn:{VERSION}:2"]),
        (dg.DagsterRunStatus.CANCELED, []),
        (dg.DagsterRunStatus.SUCCESS, []),
    ],
)
def test_a_deployment_that_failed_is_asked_for_again_after_a_pause(
    tick: Any, instance: Any, evaluated: str, status: dg.DagsterRunStatus, again: Any
) -> None:
    tags = {"version": VERSION}
    run_of(instance, "churn_deploy", tags, dg.DagsterRunStatus.STARTED)
    assert launched(tick(evaluated)) == []
    end_newest(instance, status)
    assert launched(tick(evaluated)) == []
    long_ago(instance)
    assert [item.run_key for item in tick(evaluated).run_requests or []] == again


# The last is of an image that is newer than this one.
@pytest.mark.parametrize("kind", ["refusal", "hold", "deployment", "quarantine"])
def test_a_version_that_was_decided_on_is_not_asked_for_again(
    tick: Any, instance: Any, evaluated: str, home: Path, kind: Any
) -> None:
    run_of(instance, "churn_deploy", {"version": VERSION}, dg.DagsterRunStatus.STARTED)
    end_newest(instance, dg.DagsterRunStatus.FAILURE)
    long_ago(instance)
    Ledger().append("churn", kind, VERSION, None, "ana", "so", {})
    assert launched(tick(evaluated)) == []


def test_a_version_that_a_later_one_follows_is_not_asked_for_again(
    tick: Any, instance: Any, evaluated: str, home: Path
) -> None:
    run_of(instance, "churn_deploy", {"version": VERSION}, dg.DagsterRunStatus.STARTED)
    end_newest(instance, dg.DagsterRunStatus.FAILURE)
    long_ago(instance)
    add_version(home, "20261129T020000Z")
    assert launched(tick(evaluated)) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [RegistryError, UnreachableError])
def test_a_fault_of_infrastructure_is_retried_and_no_verdict(
    run_job: Any,
    make_spec: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[Exception],
) -> None:
    """The registry, the cluster or a lock is away twice, then there again."""
    spec = make_spec()
    assert run_job(spec, "train").success
    real, faults = deployment.activate, [fault("away"), fault("away")]

    def activate(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(*given)

    monkeypatch.setattr(deployment, "activate", activate)
    monkeypatch.setattr(retries, "WAIT_SECONDS", 0)
    assert run_job(spec, "deploy").success
    entries = Ledger().entries("churn")
    assert [entry.kind for entry in entries] == ["deployment"]


def test_a_refusal_is_reported_once(tick: Any, instance: Any) -> None:
    report(instance, VERSION, figures(0.5))
    first = tick()
    assert reason_of(tick(first.cursor)) == "no new evaluation"


def test_no_evaluation_between_two_ticks_is_passed_over(
    tick: Any, instance: Any
) -> None:
    accuracies = [0.9, 0.5, 0.85, 0.95]
    for number, accuracy in enumerate(accuracies):
        report(instance, f"v{number}", figures(accuracy))
    assert launched(tick()) == ["v0", "v2", "v3"]


def test_a_long_backlog_is_worked_off_tick_by_tick(tick: Any, instance: Any) -> None:
    for number in range(BATCH + 5):
        report(instance, f"v{number}", figures(0.9))
    first = tick()
    second = tick(first.cursor)
    assert len(launched(first)) == BATCH
    assert set(launched(first)) | set(launched(second)) == {
        f"v{number}" for number in range(BATCH + 5)
    }


@pytest.mark.parametrize("strategy", ["shadow", "split", "canary", "rolling"])
def test_weekly_versions_wait_until_the_experiment_has_ended(
    strategy: str,
    instance: dg.DagsterInstance,
    make_spec: Callable[..., Any],
    home: Path,
) -> None:
    spec = make_spec(serving={"strategy": strategy})
    sensor = gate_sensor_of(spec)
    versions = Versions()
    cursor = None

    def tick_now() -> tuple[list[str], str]:
        """One tick, and the deployments that it asks for."""
        nonlocal cursor
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        result = sensor(context)  # type: ignore[operator]
        cursor = result.cursor
        for name in launched(result):
            run_of(
                instance, "churn_deploy", {"version": name}, dg.DagsterRunStatus.STARTED
            )
            end_newest(instance, dg.DagsterRunStatus.SUCCESS)
            record = versions.get("churn", name)
            commit(challenge(Plans().current("churn"), record, spec.serving, ""))
        return launched(result), reason_of(result) if not launched(result) else ""

    def week(day: int) -> tuple[list[str], str]:
        version = f"202611{day:02}T020000Z"
        add_version(home, version)
        found = figures(0.9)
        versions.save_evaluation("churn", version, {"figures": found.to_dict()})
        report(instance, version, found)
        return tick_now()

    first, second, third, fourth = (
        f"202611{day}T020000Z" for day in "01 08 15 22".split()
    )
    assert week(1)[0] == [first]
    assert week(8)[0] == [second]
    if strategy == "rolling":
        assert week(15)[0] == [third]
        return
    for day, version in ((15, third), (22, fourth)):
        waits = f"churn: version {version} waits: {second} is under test"
        assert week(day) == ([], waits)
        assert tick_now() == ([], "no new evaluation")
    plan = Plans().current("churn")
    assert plan is not None
    commit(drop(plan, "two weeks are over"))
    assert tick_now()[0] == [fourth]
    assert tick_now() == ([], "no new evaluation")
