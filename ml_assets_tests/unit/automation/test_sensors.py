"""One sensor of each kind over many models: none keeps another one back."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.automation import gate_sensor, new_events
from ml_assets.state.ledger import Ledger
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.unit.automation.test_gate_sensor import figures

NAMES = ["a", "b", "c"]
FIRST, SECOND = "20261122T020000Z", "20261129T020000Z"


def report(instance: dg.DagsterInstance, model: str, version: str) -> None:
    metadata = {"version": version, "figures": figures(0.9).to_dict()}
    event = dg.AssetMaterialization([model, "evaluation"], metadata=metadata)
    instance.report_runless_asset_event(event)


class Sensor:
    """The gate's sensor of three models, with its cursor."""

    def __init__(self, instance: dg.DagsterInstance, specs: list[Any]) -> None:
        self.instance, self.cursor = instance, None
        self.definition = definitions_of(*specs).resolve_sensor_def("gate")

    def tick(self) -> list[tuple[str | None, str | None]]:
        given = {"instance": self.instance, "cursor": self.cursor}
        found = self.definition.evaluate_tick(dg.build_sensor_context(**given))
        self.cursor = found.cursor
        return [(item.job_name, item.run_key) for item in found.run_requests or []]


@pytest.fixture
def sensor(instance: dg.DagsterInstance, make_spec: Any, home: Path) -> Sensor:
    return Sensor(instance, [make_spec(name=name) for name in NAMES])


def test_a_run_of_each_model_is_asked_for_by_one_sensor(
    sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    for name in NAMES:
        report(instance, name, FIRST)
    assert sensor.tick() == [(f"{n}_deploy", f"{n}:{FIRST}") for n in NAMES]
    assert sensor.tick() == []
    report(instance, "b", SECOND)
    assert sensor.tick() == [("b_deploy", f"b:{SECOND}")]


def test_a_model_whose_tick_fails_keeps_no_other_back_and_goes_on_later(
    sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = gate_sensor.Gate

    class Broken(usual):  # type: ignore[misc, valid-type]
        def decide(self, found: Any) -> Any:
            if found.n == 13:
                raise OSError("its figures cannot be read")
            return super().decide(found)

    for name in NAMES:
        report(instance, name, FIRST)
    metadata = {"version": FIRST, "figures": figures(0.9, n=13).to_dict()}
    event = dg.AssetMaterialization(["b", "evaluation"], metadata=metadata)
    instance.report_runless_asset_event(event)
    monkeypatch.setattr(gate_sensor, "Gate", Broken)
    assert [job for job, _ in sensor.tick()] == ["a_deploy", "c_deploy"]
    for name in ("a", "c"):
        Ledger().append(name, "deployment", FIRST, 1, "ana", "so", {})
    assert sensor.tick() == []
    # Alone it fails as a whole, which the UI shows and an alert notices.
    with pytest.raises(Exception, match="its figures cannot be read"):
        sensor.tick()
    report(instance, "a", SECOND)
    assert [job for job, _ in sensor.tick()] == ["a_deploy"]
    monkeypatch.setattr(gate_sensor, "Gate", usual)
    assert {job for job, _ in sensor.tick()} == {"b_deploy"}


def test_models_beyond_what_a_tick_handles_come_in_the_next_one(
    sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_events, "MODELS", 2)
    for name in NAMES:
        report(instance, name, FIRST)
    assert [job for job, _ in sensor.tick()] == ["a_deploy", "b_deploy"]
    assert [job for job, _ in sensor.tick()] == ["c_deploy"]
    assert sensor.tick() == []


def test_what_was_decided_on_is_not_asked_for_by_a_sensor_without_a_cursor(
    sensor: Sensor, instance: dg.DagsterInstance, home: Path
) -> None:
    for version in (FIRST, SECOND):
        report(instance, "a", version)
    Ledger().append("a", "deployment", FIRST, 1, "ana", "so", {})
    assert sensor.tick() == [("a_deploy", f"a:{SECOND}")]


def test_a_model_that_was_away_goes_on_where_it_stopped(
    instance: dg.DagsterInstance,
    make_spec: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its YAML was broken, or its gate switched off, while others went on."""
    monkeypatch.setattr(new_events, "OVERLAP", 1)
    specs = {name: make_spec(name=name) for name in NAMES}
    sensor = Sensor(instance, [specs["a"], specs["b"]])
    report(instance, "a", FIRST)
    assert sensor.tick() == [("a_deploy", f"a:{FIRST}")]
    Ledger().append("a", "deployment", FIRST, 1, "ana", "so", {})
    sensor.definition = definitions_of(specs["b"]).resolve_sensor_def("gate")
    report(instance, "a", SECOND)
    report(instance, "c", FIRST)
    for number in range(3):
        report(instance, "b", f"2026112{number}T020000Z")
        sensor.tick()
    sensor.definition = definitions_of(*specs.values()).resolve_sensor_def("gate")
    assert sensor.tick() == [
        ("a_deploy", f"a:{SECOND}"),
        # One that is new in the code location has its past.
        ("c_deploy", f"c:{FIRST}"),
    ]
    assert sensor.tick() == []


def test_the_cursor_forgets_what_is_over(
    sensor: Sensor, instance: dg.DagsterInstance, home: Path
) -> None:
    for name in NAMES:
        report(instance, name, FIRST)
        Ledger().append(name, "refusal", FIRST, None, "ana", "so", {})
    sensor.tick()
    sensor.tick()
    assert '"open":{}' in str(sensor.cursor)


@pytest.mark.parametrize(
    "given, names",
    [
        ({}, {"gate", "drift", "health"}),
        ({"automation": {"gate": False}}, {"drift", "health"}),
        ({"automation": {"health": False}}, {"gate", "drift"}),
        ({"monitoring": {"retrain": False}}, {"gate", "health"}),
    ],
)
def test_each_sensor_has_a_switch_in_the_yaml(
    make_spec: Any, given: Any, names: set[str]
) -> None:
    found = definitions_of(make_spec(**given))
    assert {sensor.name for sensor in found.sensors or ()} == names


def test_a_model_that_is_switched_off_is_left_to_its_people(
    instance: dg.DagsterInstance, make_spec: Any, home: Path
) -> None:
    off = make_spec(name="a", automation={"gate": False})
    sensor = Sensor(instance, [off, make_spec(name="b")])
    for name in ("a", "b"):
        report(instance, name, FIRST)
    assert [job for job, _ in sensor.tick()] == ["b_deploy"]


def test_monitoring_has_a_switch_in_the_yaml(make_spec: Any) -> None:
    found = definitions_of(make_spec(automation={"monitor": False}))
    names = {schedule.name for schedule in found.schedules or ()}
    assert "churn_monitor_schedule" not in names
