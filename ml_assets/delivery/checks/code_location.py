"""The code location loads from the new image, and a run of it trains a small model."""

import time

from ml_assets.core.retry import Retry
from ml_assets.delivery.checks import (
    DATA_QUALITY,
    PIPELINE,
    SMOKE_JOB,
    CheckContext,
    CheckResult,
)
from ml_assets.delivery.webserver import (
    POLL_SECONDS,
    FinishedRun,
    UnreachableWebserverError,
    Webserver,
    WebserverError,
)

LOADS, SMOKE = "code_location", "smoke"
RELOAD_SECONDS = 2.0
# A run that carries it belongs to the attempt that the value names.
TAG = "ml_assets/release"


def check(context: CheckContext) -> list[CheckResult]:
    """Load the code location; where it loads, launch the smoke job once."""
    webserver = Webserver(context.settings.webserver, context.settings.location)
    loads = _load(webserver, context)
    return [loads, *_smoke(webserver, context)] if loads.passed else [loads]


def _load(webserver: Webserver, context: CheckContext) -> CheckResult:
    """Reload it until the server of the code names the new image."""
    expected = context.release.images["base"]
    deadline = time.monotonic() + context.settings.patience
    while True:
        passed, sentence = _reload(webserver, expected)
        if passed or time.monotonic() > deadline:
            return CheckResult(LOADS, passed, sentence, {"image": expected})
        time.sleep(RELOAD_SECONDS)


def _reload(webserver: Webserver, expected: str) -> tuple[bool, str]:
    try:
        webserver.reload()
        found = webserver.code_location()
    except WebserverError as error:
        return False, str(error)
    if found.error is not None:
        return False, f"{webserver.location} does not load: {found.error.strip()}"
    if found.image != expected:
        return False, f"{webserver.location} runs {found.image}, expected {expected}"
    return True, f"{webserver.location} loads without errors"


def _smoke(webserver: Webserver, context: CheckContext) -> list[CheckResult]:
    """Launch the smoke job once, and read what it found."""
    try:
        run = _run(webserver, context)
    except WebserverError as error:
        return [CheckResult(SMOKE, False, str(error))]
    figures = {"run_id": run.run_id}
    return [
        CheckResult(SMOKE, *_verdict(run, context), figures | run.metadata),
        CheckResult(DATA_QUALITY, *_result(run, DATA_QUALITY), figures),
    ]


def _run(webserver: Webserver, context: CheckContext) -> FinishedRun:
    """Launch the job, or find the run that was launched, and wait for its end.

    A webserver that does not answer for a while is no fault of the release.
    """
    deadline = time.monotonic() + context.settings.patience

    def attempt() -> FinishedRun:
        repository = webserver.code_location().repository
        if repository is None:
            raise WebserverError(f"{webserver.location} does not load")
        run_id = webserver.launch(SMOKE_JOB, repository, {TAG: context.key})
        return webserver.await_run(run_id, deadline - time.monotonic())

    steady = Retry(attempts=None, first=POLL_SECONDS, longest=POLL_SECONDS)
    return steady.call(attempt, UnreachableWebserverError, deadline)


def _verdict(run: FinishedRun, context: CheckContext) -> tuple[bool, str]:
    if run.status != "SUCCESS":
        return False, f"run {run.run_id}: {run.status.lower()}: {run.error}"
    commit, expected = run.metadata.get("commit"), context.release.commit
    if commit != expected:
        return False, (
            f"run {run.run_id} had the code of commit {commit}, expected {expected}"
        )
    return _result(run, PIPELINE)


def _result(run: FinishedRun, name: str) -> tuple[bool, str]:
    missing = f"run {run.run_id} has no result of the check {name}"
    return run.checks.get(name, (False, missing))
