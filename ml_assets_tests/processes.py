"""Jobs of a model in processes of their own, which may be killed at any moment."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 180.0

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
        "ml_assets.ml.evaluation",
        "ml_assets.ml.training",
        "ml_assets.serving.bundle",
    ]
)


def await_true(
    condition: Callable[[], Any], what: str, seconds: float = PATIENCE
) -> Any:
    """Look at `condition` until it holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"within {seconds:g} s it was not seen that {what}")


class JobProcess:
    """One job of the model in `spec`, in a process group of its own."""

    def __init__(self, spec: Path, job: str, config: dict[str, Any], log: Path) -> None:
        self.log = log
        self.process = CONTEXT.Process(
            target=_run, args=(spec, job, config, log, dict(os.environ))
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
        # No pause: the moments that matter last for milliseconds.
        while not moment() and not self.is_over:
            pass
        return self.kill()

    def succeed(self) -> None:
        """Wait for the end, which must be a good one."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        self.kill()
        assert code == 0, f"exit code {code}\n{self.log.read_text()[-4000:]}"


def _run(
    spec: Path, job: str, config: dict[str, Any], log: Path, environ: dict[str, str]
) -> None:
    """Run one job against the instance of DAGSTER_HOME; exit with 1 if it failed."""
    os.setpgrp()
    os.environ.clear()
    os.environ.update(environ)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        definition = load(spec).resolve_job_def(f"{spec.stem}_{job}")
        result = definition.execute_in_process(
            instance=instance, run_config={"ops": config}, raise_on_error=False
        )
    # At once: pytest's hooks and other modules' have no business in this process.
    sys.stdout.flush()
    os._exit(not result.success)


def load(spec: Path) -> Any:
    """The code location of the one model that is kept as JSON in `spec`."""
    from ml_assets.components import TabularClassifier
    from ml_assets_tests.conftest import definitions_of

    return definitions_of(
        TabularClassifier.model_validate(json.loads(spec.read_text()))
    )
