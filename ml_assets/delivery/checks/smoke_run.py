"""A run in the environment trains a small model, with the code of the new image."""

import time

from ml_assets.core.retry import Retry
from ml_assets.delivery.checks.finding import Finding, Site
from ml_assets.delivery.webserver import (
    POLL_SECONDS,
    Ended,
    NoAnswerError,
    Webserver,
    WebserverError,
)

NAME = "smoke"
# The job of the image under test, and its two checks.
SMOKE_JOB = "release_smoke"
PIPELINE, DATA_QUALITY = "pipeline", "data_quality"
# A run that carries it belongs to the attempt that the value names.
TAG = "ml_assets/release"


def check(site: Site) -> list[Finding]:
    """Launch the smoke job once, and read what it found."""
    try:
        ended = _run(site)
    except WebserverError as error:
        return [Finding(NAME, False, str(error))]
    figures = {"run_id": ended.run_id, **ended.metadata}
    return [
        Finding(NAME, *_smoke(site, ended), figures),
        Finding(
            DATA_QUALITY,
            *ended.checks.get(DATA_QUALITY, (False, "the run did not look at it")),
            {"run_id": ended.run_id},
        ),
    ]


def _run(site: Site) -> Ended:
    """Launch the job, or find the run that was launched, and wait for its end.

    A webserver that does not answer for a while says nothing of the release.
    """
    webserver = Webserver(site.settings.webserver, site.settings.location)
    deadline = time.monotonic() + site.settings.patience

    def attempt() -> Ended:
        repository = webserver.look().repository
        if repository is None:
            raise WebserverError(f"{webserver.location} does not load")
        run_id = webserver.launch(SMOKE_JOB, repository, {TAG: site.key})
        return webserver.follow(run_id, deadline - time.monotonic())

    calm = Retry(attempts=None, first=POLL_SECONDS, longest=POLL_SECONDS)
    return calm.call(attempt, NoAnswerError, deadline)


def _smoke(site: Site, ended: Ended) -> tuple[bool, str]:
    if ended.status != "SUCCESS":
        return False, f"run {ended.run_id}: {ended.status.lower()}: {ended.error}"
    commit = ended.metadata.get("commit")
    if commit != site.image.commit:
        return False, (
            f"run {ended.run_id} had the code of commit {commit},"
            f" expected {site.image.commit}"
        )
    return ended.checks.get(PIPELINE, (False, f"run {ended.run_id} told nothing"))
