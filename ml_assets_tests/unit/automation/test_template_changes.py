"""A changed template of the chart reaches every model in service, one by one."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.automation.template_changes import VARIABLE, read_template
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.plans import commit, numbered_plan
from ml_assets_tests.kits.runs import end_newest, long_ago, run_of

SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


class Template:
    """The ConfigMap, as the kubelet mounts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "..data").mkdir(parents=True)

    def write(self, text: str) -> None:
        (self.folder / "deployment").write_text(text)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "template"))
    found = Template(tmp_path / "template")
    found.write("first")
    return found


class Sensor:
    """The sensor `health` of three models, two of which are in service."""

    def __init__(self, instance: dg.DagsterInstance, specs: list[Any]) -> None:
        self.instance, self.cursor = instance, None
        self.definition = definitions_of(*specs).resolve_sensor_def("health")

    def tick(self) -> list[str]:
        """The jobs that are asked for; their runs are added as started."""
        given = {"instance": self.instance, "cursor": self.cursor}
        found = self.definition.evaluate_tick(dg.build_sensor_context(**given))
        self.cursor = found.cursor
        requests = found.run_requests or []
        for item in requests:
            (config,) = item.run_config["ops"].values()
            assert config == {"config": {"reapply": True}}
            run_of(self.instance, item.job_name, item.tags, dg.DagsterRunStatus.STARTED)
        return [item.job_name for item in requests]

    def follows(self) -> list[str]:
        """The jobs of the ticks until nothing is asked for, each of which succeeds."""
        found = []
        while jobs := self.tick():
            found += jobs
            end_newest(self.instance, SUCCESS)
        return found


@pytest.fixture
def sensor(instance: dg.DagsterInstance, make_spec: Any, home: Path) -> Sensor:
    for name in ("a", "b"):
        commit(numbered_plan(1, model=name))
    return Sensor(instance, [make_spec(name=name) for name in ("a", "b", "c")])


def test_each_model_in_service_follows_a_change_once(
    sensor: Sensor, template: Template
) -> None:
    assert sensor.follows() == ["a_deploy", "b_deploy"]
    assert sensor.tick() == []
    template.write("second")
    assert sensor.follows() == ["a_deploy", "b_deploy"]


def test_what_was_before_is_followed_again(sensor: Sensor, template: Template) -> None:
    """`helm rollback` brings back a template that every model had."""
    sensor.follows()
    template.write("second")
    sensor.follows()
    template.write("first")
    assert sensor.follows() == ["a_deploy", "b_deploy"]


def test_one_model_follows_at_a_time(sensor: Sensor, template: Template) -> None:
    assert sensor.tick() == ["a_deploy"]
    assert sensor.tick() == []
    end_newest(sensor.instance, SUCCESS)
    assert sensor.tick() == ["b_deploy"]


def test_a_run_that_was_killed_is_followed_by_another_and_keeps_no_model_back(
    sensor: Sensor, template: Template
) -> None:
    assert sensor.tick() == ["a_deploy"]
    end_newest(sensor.instance, FAILURE)
    assert sensor.tick() == ["b_deploy"]
    end_newest(sensor.instance, SUCCESS)
    assert sensor.tick() == []
    long_ago(sensor.instance)
    assert sensor.tick() == ["a_deploy"]


def test_a_sensor_that_lost_its_cursor_asks_again_and_does_no_harm(
    sensor: Sensor, template: Template
) -> None:
    sensor.tick()
    end_newest(sensor.instance, SUCCESS)
    sensor.cursor = None
    assert sensor.follows() == ["a_deploy", "b_deploy"]
    assert sensor.tick() == []


def test_without_the_files_nothing_is_asked_for(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert sensor.tick() == []
    # The chart is not there: the mount is empty.
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "empty"))
    assert sensor.tick() == [] and read_template() == ""
