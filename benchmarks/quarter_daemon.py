"""The Dagster daemon of `benchmarks.quarter`, and what it and its runs did."""

import contextlib
import datetime as dt
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

import ml_assets
from benchmarks.quarter_rows import MODELS
from ml_assets_tests.kits.processes import await_true, free_ports

SHIPPED = Path(ml_assets.__file__).parents[1] / "dagster.yaml"
# The clock jumps over hundreds of ticks of the hourly evaluations, of which only the
# newest is of any use.
NEWEST = {
    "module": "dagster._core.scheduler",
    "class": "DagsterDaemonScheduler",
    "config": {"max_catchup_runs": 0},
}
# A clock that jumps over hours makes no run one that hangs.
PATIENT = {
    "enabled": True,
    "start_timeout_seconds": 30 * 86_400,
    "max_runtime_seconds": 30 * 86_400,
}
# Once a minute it checks what is due; a clock that jumps makes that minute a long one.
HASTY = """
import sys
from dagster._daemon.cli import main
from dagster._scheduler import scheduler

scheduler.SECONDS_IN_MINUTE = 2
sys.exit(main())
"""
SECONDS = 300.0
OVER = ("SKIPPED", "SUCCESS", "FAILURE")


class Daemon:
    """``dagster-daemon``, and the instance that it works on.

    Parameters
    ----------
    instance : DagsterInstance
        That of ``DAGSTER_HOME``.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def knows_schedules(self) -> bool:
        """Whether the schedules of all models have begun."""
        names = {
            state.instigator_name for state in self.instance.all_instigator_state()
        }
        kinds = ("schedule", "monitor_schedule")
        return {f"{name}_{kind}" for name in MODELS for kind in kinds} <= names

    def await_tick(self, schedule: str, due: dt.datetime) -> dg.DagsterRun | None:
        """The run of a schedule at a moment, at its end; None where it skipped."""

        def ticks() -> list[Any]:
            found = [t for t in self._ticks(schedule) if t.status.value in OVER]
            return [tick for tick in found if tick.timestamp >= due.timestamp()]

        tick = await_true(ticks, f"{schedule} at {due}", SECONDS)[0]
        if not tick.run_ids:
            return None
        self._await_runs()
        return self.instance.get_run_by_id(tick.run_ids[0])

    def settle(self) -> None:
        """Wait until the sensors have looked at all that is there, and acted."""
        sensors = ("gate", "drift")
        quiet = False
        while not quiet:
            self._await_runs()
            runs = self.instance.get_runs_count()
            newest = {sensor: max(self._over(sensor), default=0) for sensor in sensors}
            for sensor, seen in newest.items():
                await_true(
                    functools.partial(self._looked_twice, sensor, seen),
                    f"{sensor} looked twice",
                    SECONDS,
                )
            quiet = self.instance.get_runs_count() == runs

    def runs(self, job: str, since: dt.datetime) -> list[dg.DagsterRun]:
        """Runs of a job since a moment, the newest first."""
        filters = dg.RunsFilter(job_name=job, created_after=since)
        return list(self.instance.get_runs(filters))

    def events(self, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        """Events of a run."""
        found = self.instance.get_records_for_run(run_id, of_type=kind).records
        events = (record.event_log_entry.dagster_event for record in found)
        return [event for event in events if event is not None]

    def _await_runs(self) -> None:
        filters = dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
            ]
        )
        await_true(
            lambda: not self.instance.get_runs_count(filters), "runs ended", SECONDS
        )

    def _looked_twice(self, name: str, seen: int) -> bool:
        return sum(number > seen for number in self._over(name)) >= 2

    def _over(self, name: str) -> list[int]:
        """Numbers of the newest ticks that are over."""
        ticks = self._ticks(name)
        return [int(tick.tick_id) for tick in ticks if tick.status.value in OVER]

    def _ticks(self, name: str) -> list[Any]:
        for state in self.instance.all_instigator_state():
            if state.instigator_name == name:
                return list(
                    self.instance.get_ticks(
                        state.instigator_origin_id, state.selector_id, limit=10
                    )
                )
        return []


@contextlib.contextmanager
def running() -> Iterator[Daemon]:
    """A daemon and its code server over an empty ``DAGSTER_HOME``."""
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True)
    changed = {"scheduler": NEWEST, "run_monitoring": PATIENT}
    config = yaml.safe_load(SHIPPED.read_text()) | changed
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    place = {"host": "127.0.0.1", "port": port, "location_name": "quarter"}
    workspace = home / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": place}]}))
    server = ["api", "grpc", "-h", "127.0.0.1", "-p", str(port)]
    module = ["-m", "benchmarks.quarter_location"]
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        # Two processes that make the databases at once collide.
        assert not instance.get_runs() and not instance.all_instigator_state()
        stack.enter_context(_process(home / "code.log", "dagster", *server, *module))
        await_true(lambda: _listens(port), "the code server listens", SECONDS)
        daemon = ["-c", HASTY, "run", "-w", str(workspace)]
        stack.enter_context(_process(home / "daemon.log", "python", *daemon))
        found = Daemon(instance)
        # A schedule begins when it is first seen, not before.
        await_true(found.knows_schedules, "the daemon knows the schedules", SECONDS)
        found.settle()
        yield found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _process(log: Path, program: str, *arguments: str) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
