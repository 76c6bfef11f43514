"""Jobs of a model in processes of their own, that may be killed at any moment.

``python -m ml_assets_tests.processes SPEC JOB [CONFIG]`` runs one job against the
instance of DAGSTER_HOME and ends with 0 when the run succeeded.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 180.0


def await_true(
    condition: Callable[[], Any], what: str, seconds: float = PATIENCE
) -> Any:
    """Look at `condition` until it holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"within {seconds:g} s it was not seen that {what}")


class JobProcess:
    """A job that runs in a process group of its own."""

    def __init__(
        self, spec: Path, job: str, config: dict[str, Any] | None, log: Path
    ) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ml_assets_tests.processes"),
                    *(str(spec), job, json.dumps(config or {})),
                ],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> bool:
        """SIGKILL the group; whether the job was still running."""
        running = not self.is_over
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return running

    def succeed(self) -> None:
        """Wait for the end, which must be a good one."""
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.kill()
        assert code == 0, self.log.read_text()[-4000:]

    def __enter__(self) -> "JobProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.contextmanager
def killed_when(
    job: JobProcess, moment: Callable[[], bool], seconds: float = PATIENCE
) -> Iterator[bool]:
    """Kill `job` as soon as `moment` comes; whether it was still running then."""
    deadline = time.monotonic() + seconds
    with job:
        # No pause: the moments that matter last for milliseconds.
        while not moment() and not job.is_over and time.monotonic() < deadline:
            pass
        yield job.kill()


def run(spec: Path, job: str, config: dict[str, Any]) -> bool:
    """Run one job in this process; whether it succeeded."""
    import dagster as dg

    from ml_assets.components import TabularClassifier
    from ml_assets_tests.conftest import definitions_of

    model = TabularClassifier.model_validate(json.loads(spec.read_text()))
    with dg.DagsterInstance.get() as instance:
        result = (
            definitions_of(model)
            .resolve_job_def(f"{model.name}_{job}")
            .execute_in_process(
                instance=instance, run_config={"ops": config}, raise_on_error=False
            )
        )
    return result.success


if __name__ == "__main__":
    path, name, options = sys.argv[1:]
    sys.exit(not run(Path(path), name, json.loads(options)))
