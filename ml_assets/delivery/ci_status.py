"""Reads the newest runs of a branch from GitHub, with their jobs, tests and coverage.

What is read of a completed attempt never changes, so it is read once and kept in the
storage, as is the ETag of the list of runs: where nothing is new, one request is sent,
which GitHub does not count for a reader with a token.
"""

import hashlib
import os
import time
from collections.abc import Callable
from fnmatch import fnmatch
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.retry import Retry
from ml_assets.core.storage import Storage, storage
from ml_assets.delivery.ci_runs import (
    ArtifactAnswer,
    JobAnswer,
    Run,
    RunAnswer,
    Snapshot,
    job_of,
    run_of,
)
from ml_assets.delivery.environments import SettingsError
from ml_assets.delivery.github_session import (
    GitHubError,
    GitHubSession,
    NotGivenError,
    RateLimitedError,
    listed,
)
from ml_assets.delivery.junit import Results, read

API = "https://api.github.com"
RUNS = 30
# A page of the list has no more.
MOST_RUNS = 100
# Of one run; a matrix makes at most 256 jobs.
MOST_JOBS = 1_000
MOST_ARTIFACTS = 200
LARGEST_ARTIFACT = 64 * 2**20
ARTIFACTS = "tests-*"
NO_TOKEN = (
    "ML_ASSETS_CI_TOKEN is not set, without which GitHub gives no artifact"  # nosec
)


class CiSettings(NamedTuple):
    """Which runs are read, and as whom.

    Attributes
    ----------
    repository : str
        ``owner/name``.
    runs : int
        The newest so many are kept.
    artifacts : str
        Pattern of the names of those that have JUnit and coverage XML.
    """

    repository: str
    branch: str = "main"
    runs: int = RUNS
    artifacts: str = ARTIFACTS
    api: str = API
    token: str = ""


class CiRead(NamedTuple):
    """What is known now, and why it is not all of it; None where it is."""

    snapshot: Snapshot
    problem: str | None


def ci_settings() -> CiSettings:
    """The settings of the environment variables that docs/delivery.md lists.

    Raises
    ------
    SettingsError
        If ``ML_ASSETS_CI_REPOSITORY`` is not set, or a variable is invalid.
    """
    repository = _get("ML_ASSETS_CI_REPOSITORY")
    if not repository:
        raise SettingsError("ML_ASSETS_CI_REPOSITORY is not set: no CI is watched")
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise SettingsError(
            f"ML_ASSETS_CI_REPOSITORY is '{repository}', expected OWNER/NAME"
        )
    runs = _get("ML_ASSETS_CI_RUNS") or str(RUNS)
    if not runs.isdecimal() or not 1 <= int(runs) <= MOST_RUNS:
        raise SettingsError(
            f"ML_ASSETS_CI_RUNS is '{runs}', expected a number from 1 to {MOST_RUNS}"
        )
    return CiSettings(
        repository,
        _get("ML_ASSETS_CI_BRANCH") or "main",
        int(runs),
        _get("ML_ASSETS_CI_ARTIFACTS") or ARTIFACTS,
        _get("ML_ASSETS_CI_API_URL") or API,
        _get("ML_ASSETS_CI_TOKEN"),
    )


def ci_status(
    settings: CiSettings,
    retry: Retry | None = None,
    now: Callable[[], float] = time.time,
) -> CiRead:
    """The runs as they are now; where GitHub does not give them, as they last were.

    Nothing of GitHub raises: a failure is the `problem` of the result.
    """
    kept, name = storage(), _name(settings)
    known = _known(kept, name)
    session = GitHubSession(
        settings.api, settings.token, known.not_before, retry, now=now
    )
    found, problem = _refreshed(settings, session, known, now)
    if found != known:
        kept.put(name, msgspec.json.encode(found))
    return CiRead(found, problem)


def _refreshed(
    settings: CiSettings,
    session: GitHubSession,
    known: Snapshot,
    now: Callable[[], float],
) -> CiRead:
    before = {run.id: run for run in known.runs}
    runs, etag, read_at, problem = known.runs, known.etag, known.read_at, None
    try:
        path = f"/repos/{settings.repository}/actions/runs"
        query = f"branch={quote(settings.branch)}&per_page={MOST_RUNS}"
        page = session.page(f"{path}?{query}", known.etag)
        read_at = now()
        if page.content is not None:
            answers = listed(page.content, "workflow_runs", RunAnswer)
            found = [_merged(settings, item, before.get(item.id)) for item in answers]
            runs, etag = [run for run in found if run is not None], page.etag
        runs = runs[: settings.runs]
        for number, run in enumerate(runs):
            if _is_wanting(settings, run):
                runs[number] = _with_details(settings, session, run)
    except RateLimitedError as error:
        problem = str(error)
    except (GitHubError, NotGivenError) as error:
        problem = f"GitHub was not read: {error}"
    return CiRead(Snapshot(etag, read_at, session.not_before, runs), problem)


def _merged(settings: CiSettings, answer: RunAnswer, before: Run | None) -> Run | None:
    """A run with what is known of it; None for one that does not count, or not yet.

    While an attempt goes on, the one before it stands; when it has ended, what it left
    is added to what is known, since the artifacts of one attempt may hide the others'.
    """
    if answer.status != "completed":
        return before
    run = run_of(answer, settings.repository)
    if run is None or before is None:
        return run
    if before.attempt == run.attempt:
        return before
    return msgspec.structs.replace(run, suites=before.suites, coverage=before.coverage)


def _is_wanting(settings: CiSettings, run: Run) -> bool:
    """Whether there is something of a run to read, and a token where it needs one."""
    return not run.is_read and (run.problems != [NO_TOKEN] or bool(settings.token))


def _with_details(settings: CiSettings, session: GitHubSession, run: Run) -> Run:
    actions = f"/repos/{settings.repository}/actions"
    path = f"{actions}/runs/{run.id}"
    jobs = session.items(
        f"{path}/jobs?filter=all&per_page=100", "jobs", JobAnswer, MOST_JOBS
    )
    run = msgspec.structs.replace(run, jobs=[job_of(job) for job in jobs])
    if not run.has_verdict:
        return msgspec.structs.replace(run, is_read=True)
    if not settings.token:
        return msgspec.structs.replace(run, problems=[NO_TOKEN])
    suites, coverage, problems = {s.key: s for s in run.suites}, run.coverage, []
    for item in session.items(
        f"{path}/artifacts?per_page=100", "artifacts", ArtifactAnswer, MOST_ARTIFACTS
    ):
        if not fnmatch(item.name, settings.artifacts):
            continue
        try:
            results = _results(session, actions, item)
        except NotGivenError as error:
            problems.append(str(error))
            continue
        suites |= {s.key: s for s in results.suites}
        coverage = coverage if results.coverage is None else results.coverage
    return msgspec.structs.replace(
        run,
        suites=[*suites.values()],
        coverage=coverage,
        problems=problems,
        is_read=True,
    )


def _results(session: GitHubSession, actions: str, item: ArtifactAnswer) -> Results:
    """The results of an artifact of a run."""
    if item.expired:
        raise NotGivenError(f"artifact {item.name} has expired")
    if item.size_in_bytes > LARGEST_ARTIFACT:
        raise NotGivenError(
            f"artifact {item.name} has {item.size_in_bytes:,} bytes, more than"
            f" {LARGEST_ARTIFACT:,}"
        )
    path = f"{actions}/artifacts/{item.id}/zip"
    return read(session.download(path, LARGEST_ARTIFACT), item.name, item.id)


def _known(kept: Storage, name: str) -> Snapshot:
    """What an earlier read left; nothing where another release wrote it otherwise."""
    try:
        return from_json(kept.get(name) or b"{}", Snapshot)
    except msgspec.ValidationError:
        return Snapshot()


def _name(settings: CiSettings) -> str:
    """The object that keeps what was read of these runs."""
    # All but the token, which changes nothing of what is read.
    key = " ".join(map(str, settings[:-1]))
    return f"ci/{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _get(variable: str) -> str:
    return os.environ.get(variable, "").strip()
