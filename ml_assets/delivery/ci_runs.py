"""Runs of workflows as GitHub reports them, and what is kept of them between reads."""

import datetime as dt

import msgspec

from ml_assets.delivery.junit import Suite

FAILED = {"failure", "timed_out", "startup_failure"}
# What was cancelled or skipped says nothing of the code.
VERDICTS = {"success", *FAILED}
# Runs of a pull request are of what is proposed, even from a branch of the same name.
PROPOSED = {"pull_request", "pull_request_target"}


class Job(msgspec.Struct, frozen=True):
    """One attempt of a job; `seconds` is 0 where it did not run."""

    name: str
    outcome: str
    attempt: int
    seconds: float


class Run(msgspec.Struct, frozen=True):
    """A completed run of a workflow, in its newest attempt.

    `started` is in seconds since 1970; `is_read` says that the jobs and artifacts were
    read, and `problems` has a sentence for each artifact that could not be.
    """

    id: int
    number: int
    attempt: int
    workflow: str
    commit: str
    outcome: str
    started: float
    seconds: float
    url: str
    jobs: list[Job] = []
    suites: list[Suite] = []
    coverage: float | None = None
    problems: list[str] = []
    is_read: bool = False

    @property
    def has_verdict(self) -> bool:
        """Whether it says that the code is good, or that it is not."""
        return self.outcome in VERDICTS

    @property
    def has_failed(self) -> bool:
        """Whether it says that the code is not good."""
        return self.outcome in FAILED


class Snapshot(msgspec.Struct, frozen=True):
    """What was last read of a repository: the newest run first.

    `read_at` is when GitHub last answered, and `not_before` when it may be asked again,
    in seconds since 1970.
    """

    etag: str = ""
    read_at: float = 0.0
    not_before: float = 0.0
    runs: list[Run] = []


class _Origin(msgspec.Struct, frozen=True):
    full_name: str = ""


class RunAnswer(msgspec.Struct, frozen=True):
    """A run in GitHub's list, as far as it is used."""

    id: int
    head_sha: str
    run_number: int = 0
    run_attempt: int | None = 1
    name: str | None = None
    event: str = ""
    status: str | None = None
    outcome: str | None = msgspec.field(default=None, name="conclusion")
    created_at: dt.datetime | None = None
    run_started_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    html_url: str = ""
    head_repository: _Origin | None = None


class JobAnswer(msgspec.Struct, frozen=True):
    """A job in GitHub's list of those of a run."""

    name: str
    outcome: str | None = msgspec.field(default=None, name="conclusion")
    run_attempt: int | None = 1
    started_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None


class ArtifactAnswer(msgspec.Struct, frozen=True):
    """An artifact in GitHub's list of those of a run."""

    id: int
    name: str
    size_in_bytes: int = 0
    expired: bool = False


def run_of(answer: RunAnswer, repository: str) -> Run | None:
    """A run of the list; None where it is not of a commit of this very repository."""
    origin = answer.head_repository.full_name if answer.head_repository else ""
    if answer.event in PROPOSED or origin.lower() != repository.lower():
        return None
    begun = answer.run_started_at or answer.created_at
    return Run(
        id=answer.id,
        number=answer.run_number,
        attempt=answer.run_attempt or 1,
        workflow=answer.name or str(answer.id),
        commit=answer.head_sha,
        outcome=answer.outcome or "",
        started=begun.timestamp() if begun else 0.0,
        seconds=_seconds(begun, answer.updated_at),
        url=answer.html_url,
    )


def job_of(answer: JobAnswer) -> Job:
    """A job of a run."""
    return Job(
        name=answer.name,
        outcome=answer.outcome or "",
        attempt=answer.run_attempt or 1,
        seconds=_seconds(answer.started_at, answer.completed_at),
    )


def _seconds(begun: dt.datetime | None, ended: dt.datetime | None) -> float:
    if begun is None or ended is None:
        return 0.0
    return max((ended - begun).total_seconds(), 0.0)
