"""The daemon, killed and started again: each passing version is deployed once.

A real ``dagster-daemon`` and its code server follow one Dagster home, in which training
runs in processes of its own.
"""

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import ml_assets
from ml_assets.ml.gate_figures import GateFigures
from ml_assets_tests.kits.processes import MODEL, JobProcess, Platform, await_true

pytestmark = pytest.mark.slow

SHIPPED = Path(ml_assets.__file__).parents[1] / "dagster.yaml"
# The shipped instance, with short waits and a dead run noticed in half a minute.
QUICK = {
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 2,
        "start_timeout_seconds": 30,
        "max_runtime_seconds": 30,
    },
    "run_retries": {
        "enabled": True,
        "max_retries": 2,
        "retry_on_asset_or_op_failure": False,
    },
}
LOCATION = """
import os
from pathlib import Path
from ml_assets.automation import gate_sensor, jobs
gate_sensor.SENSOR_SECONDS = 1
jobs.MAX_SECONDS["deploy"] = 30
from ml_assets_tests.kits.processes import load
defs = load(Path(os.environ["SPEC"]))
"""
OVER = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


class Daemon:
    """``dagster-daemon run`` with all that it starts, in a process group of its own."""

    def __init__(self, site: "Site") -> None:
        command = Path(sys.executable).parent / "dagster-daemon"
        with (site.home / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(command), "run", "-f", str(site.location)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "SPEC": str(site.spec), "OMP_NUM_THREADS": "1"},
            )

    def kill(self) -> None:
        """SIGKILL the daemon alone: what it launched goes on."""
        self.process.kill()
        self.process.wait()

    def kill_everything(self) -> None:
        """SIGKILL the daemon, its code server and its runs, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Site(Platform):
    """A platform with a daemon."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(directory, patch)
        config = yaml.safe_load(SHIPPED.read_text()) | QUICK
        (directory / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(config))
        self.location = directory / "location.py"
        self.location.write_text(LOCATION)
        self.daemons: list[Daemon] = []
        self.instance = dg.DagsterInstance.get()

    def start_daemon(self) -> Daemon:
        self.daemons.append(Daemon(self))
        return self.daemons[-1]

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.kill_everything()
        self.instance.dispose()

    def rival(self, name: str, **given: Any) -> JobProcess:
        """A forced training of the model whose YAML says something else."""
        spec = self.home / name / f"{MODEL}.json"
        spec.parent.mkdir()
        spec.write_text(json.dumps(json.loads(self.spec.read_text()) | given))
        config = {f"{MODEL}__model": {"config": {"force": True}}}
        return JobProcess(spec, "train", config, self.home / f"{name}.log")

    def deploy_runs(self) -> list[dg.DagsterRun]:
        filters = dg.RunsFilter(job_name=f"{MODEL}_deploy")
        return list(self.instance.get_runs(filters=filters))

    def state(self) -> Any:
        """What the instance remembers of the gate sensor."""
        (state,) = [
            item
            for item in self.instance.all_instigator_state()
            if item.instigator_name == "gate"
        ] or [None]
        return state

    def ticks(self) -> list[Any]:
        state = self.state()
        if state is None:
            return []
        found = self.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        return list(found)

    def settle(self) -> None:
        """Wait until every run is over and the sensor looked twice more."""
        await_true(
            lambda: all(run.status in OVER for run in self.deploy_runs()),
            "every deployment is over",
        )
        newest = max((tick.tick_id for tick in self.ticks()), default=0)
        looked = ("SKIPPED", "SUCCESS")
        await_true(
            lambda: sum(
                tick.tick_id > newest and tick.status.value in looked
                for tick in self.ticks()
            )
            >= 2,
            "the sensor looked twice more",
        )
        await_true(
            lambda: all(run.status in OVER for run in self.deploy_runs()),
            "every deployment is over",
        )


@pytest.fixture
def site(registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(home, monkeypatch)
    yield site
    site.close()


@pytest.fixture(scope="module")
def one_version(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """A home in which one version has passed its gate."""
    directory = tmp_path_factory.mktemp("one_version")
    shutil.copy(empty_registry, directory / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        Platform(directory, patch).complete("train")
    return directory


@pytest.fixture
def trained(
    one_version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A platform with a daemon, whose model has a version that passed its gate."""
    shutil.copytree(one_version, tmp_path / "trained")
    site = Site(tmp_path / "trained", monkeypatch)
    yield site
    site.close()


def launched(site: Site) -> bool:
    return bool(site.deploy_runs())


def working(site: Site) -> bool:
    return (site.home / "locks" / f"{MODEL}.lock").exists()


KILLS: dict[str, tuple[Callable[[Site], bool], Callable[[Daemon], None]]] = {
    "daemon, after the tick": (launched, Daemon.kill),
    "everything, during the run": (working, Daemon.kill_everything),
}


@pytest.mark.parametrize("moment, kill", KILLS.values(), ids=KILLS)
def test_a_passing_version_is_deployed_once_whatever_is_killed(
    trained: Site, moment: Callable[[Site], bool], kill: Callable[[Daemon], None]
) -> None:
    site = trained
    (version,) = site.versions.names(MODEL)
    daemon = site.start_daemon()
    await_true(lambda: moment(site), "the moment to kill has come")
    kill(daemon)
    site.check()
    site.start_daemon()
    await_true(
        partial(site.versions.has_profile, MODEL, version), "the deployment is complete"
    )
    site.settle()
    site.check()
    site.check_finished()
    assert site.deployed() == [version]
    statuses = [run.status.value for run in site.deploy_runs()]
    print(f"\n1 kill; deployment runs: {statuses}; plans: 1")


def test_two_trainings_that_finish_together_leave_the_better_one(site: Site) -> None:
    stump = {"type": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 2}}
    lenient = {"gate": {"threshold": 0.5, "beat_majority": False}}
    spec = json.loads(site.spec.read_text()) | lenient
    site.spec.write_text(json.dumps(spec))
    site.start_daemon()
    weak, strong = site.rival("weak", estimator=stump), site.rival("strong")
    weak.succeed()
    strong.succeed()
    await_true(
        lambda: site.evaluated() == {*site.versions.names(MODEL)}, "both were judged"
    )
    records = site.versions.records(MODEL)
    assert len(records) == 2
    (best,) = [item.version for item in records if "Tree" not in item.estimator]
    await_true(lambda: site.deployed()[-1:] == [best], "the better one serves")
    site.settle()
    site.check()
    site.check_finished()
    assert site.deployed()[-1] == best
    print(f"\n2 trainings at once; plans in order: {site.deployed()}; best: {best}")


def test_of_two_equal_trainings_one_serves(site: Site) -> None:
    site.start_daemon()
    rivals = [site.rival("one"), site.rival("two")]
    for rival in rivals:
        rival.succeed()
    names = site.versions.names(MODEL)
    await_true(lambda: site.evaluated() == {*names}, "both were judged")
    await_true(site.deployed, "one of them serves")
    site.settle()
    site.check()
    site.check_finished()
    assert len(names) == 2 and len(site.deployed()) == 1
    print(f"\n2 equal trainings at once; plans in order: {site.deployed()}")


def test_a_sensor_that_forgot_where_it_was_launches_nothing_twice(
    trained: Site,
) -> None:
    site = trained
    daemon = site.start_daemon()
    await_true(lambda: site.deployed(), "the version serves")
    site.settle()
    daemon.kill_everything()
    state = site.state()
    assert state.instigator_data.cursor
    forgetful = state.instigator_data._replace(cursor=None)
    site.instance.update_instigator_state(state.with_data(forgetful))
    site.start_daemon()
    site.settle()
    assert len(site.deploy_runs()) == 1
    assert len(site.plans.history(MODEL)) == 1


def test_rejected_versions_are_reported_by_the_tick_and_never_deployed(
    site: Site,
) -> None:
    rejected = {
        "20261101T020000Z": (0.8, {}, "accuracy 0.8000 is not above 0.8"),
        "20261102T020000Z": (math.nan, {}, "accuracy nan is not above 0.8"),
        "20261103T020000Z": (
            0.9,
            {"majority": {"accuracy": 0.9}},
            "accuracy 0.9000 is not above 0.9000 of the majority class",
        ),
        "20261104T020000Z": (
            0.85,
            {"champion": "c", "champion_metrics": {"accuracy": 0.86}},
            "accuracy 0.8500 is below 0.8600 of the champion c",
        ),
    }
    spec = json.loads(site.spec.read_text()) | {"gate": {"beat_champion": True}}
    site.spec.write_text(json.dumps(spec))
    for version, (accuracy, others, _) in rejected.items():
        given: dict[str, Any] = {"n": 100, "majority": {"accuracy": 0.7}} | others
        figures = GateFigures(metrics={"accuracy": accuracy}, **given)
        site.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                [MODEL, "evaluation"],
                metadata={
                    "version": version,
                    "figures": dg.MetadataValue.json(figures.to_dict()),
                },
            )
        )
    site.start_daemon()
    output = await_true(
        lambda: [
            tick.skip_reason
            for tick in site.ticks()
            if "0.8" in (tick.skip_reason or "")
        ],
        "a tick named the rejected versions",
    )
    for version, (_, _, reason) in rejected.items():
        assert f"version {version} is not deployed: {reason}" in output[0]
    site.settle()
    assert site.deploy_runs() == []
    assert site.deployed() == []
