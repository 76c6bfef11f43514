"""Jobs of a model in processes of their own, which may be killed at any moment."""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.core.digests import digest_of
from ml_assets.core.storage import storage
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.serving.models.bundle_cache import Bundle, fetch
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.strikes import die_at

MODEL = "churn"
STAGES = {"train": "model", "deploy": "deployment"}
SPEC = {
    "name": MODEL,
    "source": {"type": "synthetic", "rows": 3_000},
    "target": "churned",
    "positive": "yes",
    "estimator": {"params": {"max_iter": 20}},
    # One iteration more may answer a little worse.
    "gate": {"beat_champion": False},
}

# Forked from one process that has imported what a job needs: a second for each job
# less than for a new interpreter, and no thread of pytest's comes along.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "dagster",
        "great_expectations",
        "matplotlib.pyplot",
        "mlflow.sklearn",
        "sklearn.ensemble",
        "ml_assets.components",
        "ml_assets.ml.tasks.binary_metrics",
        "ml_assets.ml.training",
        "ml_assets.serving.models.bundle",
    ]
)


def await_true(
    condition: Callable[[], Any], what: str, seconds: float = PATIENCE
) -> Any:
    """Look at `condition` until it holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while (began := time.monotonic()) < deadline:
        found = condition()
        if found:
            return found
        # What is awaited gets most of the time where a look is dear.
        time.sleep(min(max(0.05, 4 * (time.monotonic() - began)), 1.0))
    raise AssertionError(f"within {seconds:g} s it was not seen that {what}")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def processes_with(mark: str) -> list[int]:
    """Every other process in whose environment is `mark`, such as ``KEY=value``."""
    found = []
    for item in Path("/proc").iterdir():
        if item.name.isdigit() and int(item.name) != os.getpid():
            with contextlib.suppress(OSError):
                state = (item / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and mark.encode() in (item / "environ").read_bytes():
                    found.append(int(item.name))
    return found


class JobProcess:
    """One job of the model in `spec`, in a process group of its own.

    With `dies_at` it kills itself at that change: see `strikes.die_at`.
    """

    def __init__(
        self,
        spec: Path,
        job: str,
        config: dict[str, Any],
        log: Path,
        dies_at: int | None = None,
    ) -> None:
        self.log = log
        self.process = CONTEXT.Process(
            target=_run, args=(spec, job, config, log, dict(os.environ), dies_at)
        )
        self.process.start()

    @property
    def is_over(self) -> bool:
        return not self.process.is_alive()

    def kill(self) -> bool:
        """SIGKILL the process and what it started; whether it was still running."""
        was_running = not self.is_over
        self.process.kill()
        self.process.join()
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return was_running

    def kill_when(self, moment: Callable[[], Any]) -> bool:
        """Kill it as soon as `moment` comes; whether it was still running then."""
        while not moment() and not self.is_over:
            time.sleep(0.002)
        return self.kill()

    def end(self) -> int | None:
        """Wait for the end; the exit code, which is negative if it was killed."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        self.kill()
        return code

    def dies(self) -> bool:
        """Wait for the end; whether it was killed, else it must be a good one."""
        code = self.end()
        assert code in (0, -signal.SIGKILL), self._problem(code)
        return code != 0

    def succeed(self) -> None:
        """Wait for the end, which must be a good one."""
        code = self.end()
        assert code == 0, self._problem(code)

    def _problem(self, code: int | None) -> str:
        return f"exit code {code}\n{self.log.read_text()[-4000:]}"


def _run(
    spec: Path,
    job: str,
    config: dict[str, Any],
    log: Path,
    environ: dict[str, str],
    dies_at: int | None,
) -> None:
    """Run one job against the instance of DAGSTER_HOME; exit with 1 if it failed."""
    os.setpgrp()
    os.environ.clear()
    os.environ.update(environ)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if dies_at is not None:
        die_at(dies_at)
    with dg.DagsterInstance.get() as instance:
        definition = load(spec).resolve_job_def(f"{spec.stem}_{job}")
        result = definition.execute_in_process(
            instance=instance, run_config={"ops": config}, raise_on_error=False
        )
    # At once: pytest's hooks and other modules' have no business in this process.
    sys.stdout.flush()
    os._exit(not result.success)


def load_whole(bundle: Bundle) -> None:
    """Load a bundle, each of whose files in the storage is as its manifest says."""
    for name, expected in bundle.files.items():
        assert digest_of(storage(), f"{bundle.bundle}/{name}") == expected, name
    load_runtime(fetch(storage(), bundle), bundle.files)


def load(spec: Path) -> Any:
    """The code location of the one model that is kept as JSON in `spec`."""
    from ml_assets.components import TabularClassifier
    from ml_assets_tests.conftest import definitions_of

    return definitions_of(
        TabularClassifier.model_validate(json.loads(spec.read_text()))
    )


class Platform:
    """A home and a Dagster home below it, on which jobs run as processes.

    Its storage and its database are those of the environment.
    """

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = directory
        self.plans = Plans()
        self.versions = Versions()
        self.tables = Tables()
        self.spec = directory / f"{MODEL}.json"
        if not self.spec.exists():
            self.spec.write_text(json.dumps(SPEC))
        (directory / "dagster").mkdir(exist_ok=True)
        quiet = "telemetry:\n  enabled: false\n"
        (directory / "dagster" / "dagster.yaml").write_text(quiet)
        patch.setenv("ML_ASSETS_HOME", str(directory))
        patch.setenv("DAGSTER_HOME", str(directory / "dagster"))

    def start(self, job: str, dies_at: int | None = None, **config: Any) -> JobProcess:
        if config.get("force"):
            self._vary()
        options = {f"{MODEL}__{STAGES[job]}": {"config": config}} if config else {}
        return JobProcess(self.spec, job, options, self.home / "jobs.log", dies_at)

    def _vary(self) -> None:
        """What answers as the champion does would never be deployed."""
        spec = json.loads(self.spec.read_text())
        spec["estimator"]["params"]["max_iter"] += 1
        self.spec.write_text(json.dumps(spec))

    def complete(self, job: str, **config: Any) -> None:
        self.start(job, **config).succeed()

    def deployed(self) -> list[str]:
        return [plan.live.version for plan in self.plans.history(MODEL)]

    def check(self) -> None:
        """Whatever a reader asks for is whole, and no decision is lost or doubled."""
        for item in storage().objects(f"tables/{MODEL}"):
            stage, _, name = item.name.removeprefix(f"tables/{MODEL}/").partition("/")
            assert len(self.tables.read(MODEL, stage, name.removesuffix(".parquet")))
        for pointer in self.tables.pointers(MODEL):
            assert self.tables.exists(MODEL, pointer.stage, pointer.data_version)
        for record in self.versions.records(MODEL):
            self.versions.evaluation(MODEL, record.version)
            load_whole(record)
        history = self.plans.history(MODEL)
        assert [plan.generation for plan in history] == [*range(1, len(history) + 1)]
        assert {*self.deployed()} <= {*self.versions.names(MODEL)}
        if history:
            load_whole(history[-1].live)
        assert Ledger().verify(MODEL) == []
        entries = Ledger().entries(MODEL)
        deployed = [item.version for item in entries if item.kind == "deployment"]
        assert len({*deployed}) == len(deployed), "a version was deployed twice"
        noted = [item.generation for item in entries if item.generation]
        assert noted == [plan.generation for plan in history]

    def check_finished(self) -> None:
        """After a good deployment the registry, the profile and the plan agree.

        Servers read that plan.
        """
        assert self.plans.late() == []
        numbers = {
            version: self.versions.get(MODEL, version).registry_version
            for version in self.deployed()
        }
        *before, champion = self.deployed()
        expected = {"champion": numbers[champion]}
        if before:
            expected["previous"] = numbers[before[-1]]
        assert Registry().aliases(MODEL) == expected
        assert self.versions.has_profile(MODEL, champion)

    def evaluated(self) -> set[str]:
        """The versions whose evaluation the gate sensor can see."""
        with dg.DagsterInstance.get() as instance:
            found = instance.fetch_materializations(
                dg.AssetKey([MODEL, "evaluation"]), limit=100
            )
        events = [record.asset_materialization for record in found.records]
        return {str(event.metadata["version"].value) for event in events if event}
