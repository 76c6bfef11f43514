"""Figures of the runs of a branch: what fails, how often, what is flaky or slow."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from ml_assets.delivery.ci_runs import FAILED, Run
from ml_assets.delivery.junit import Suite

# Workflows with figures of their own, and so series: those that ran last.
MOST_WORKFLOWS = 20


class WorkflowFigures(NamedTuple):
    """One workflow over the runs that are known.

    Attributes
    ----------
    passing : bool
        Of the newest run that has a verdict.
    failure_ratio, earlier_ratio : float
        Share of failures in the newer half of those runs, and in the older half.
    seconds : float
        Median duration of those runs.
    """

    name: str
    passing: bool
    runs: int
    failure_ratio: float
    earlier_ratio: float
    seconds: float
    last: Run


class FlakyTest(NamedTuple):
    """A test, or a job, that failed and passed on the same commit, and how often."""

    name: str
    where: str
    commits: int


class JobFigures(NamedTuple):
    """One job over the runs that are known."""

    workflow: str
    name: str
    runs: int
    failures: int
    seconds: float


class CiReport(NamedTuple):
    """What is known of a branch.

    Attributes
    ----------
    failing_tests : list of (str, str)
        Of the newest run of each workflow: the test, and its artifact.
    slowest : list of (str, str, float)
        Of the newest run with tests: the test, its artifact, and seconds.
    tests : int
        In that run, over all artifacts.
    coverage : float or None
        The share of lines that ran, in the newest run that reports one.
    """

    workflows: list[WorkflowFigures]
    jobs: list[JobFigures]
    flaky: list[FlakyTest]
    failing_tests: list[tuple[str, str]]
    slowest: list[tuple[str, str, float]]
    tests: int
    coverage: float | None
    runs: list[Run]

    @property
    def passing(self) -> bool | None:
        """Whether every workflow passes; None where none has a verdict."""
        return all(item.passing for item in self.workflows) if self.workflows else None


def report(runs: Sequence[Run]) -> CiReport:
    """The figures of `runs`, the newest first."""
    decided = [run for run in runs if run.has_verdict]
    workflows = _by_workflow(decided)
    tested = next((run for run in decided if run.suites), None)
    suites = tested.suites if tested else []
    timed = [(test, s.artifact, t) for s in suites for test, t in s.slowest]
    return CiReport(
        workflows=[_figures(name, found) for name, found in workflows.items()],
        jobs=[*_jobs(decided)],
        flaky=_flaky(decided),
        failing_tests=[
            (test, suite.artifact)
            for found in workflows.values()
            for suite in found[0].suites
            for test in suite.failed
        ],
        slowest=sorted(timed, key=lambda item: -item[2]),
        tests=sum(suite.total for suite in suites),
        coverage=next((r.coverage for r in decided if r.coverage is not None), None),
        runs=[*runs],
    )


def _by_workflow(runs: Iterable[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.workflow in found or len(found) < MOST_WORKFLOWS:
            found.setdefault(run.workflow, []).append(run)
    return found


def _figures(name: str, runs: Sequence[Run]) -> WorkflowFigures:
    half = (len(runs) + 1) // 2
    return WorkflowFigures(
        name=name,
        passing=not runs[0].has_failed,
        runs=len(runs),
        failure_ratio=_failed_share(runs[:half]),
        earlier_ratio=_failed_share(runs[half:]),
        seconds=median(run.seconds for run in runs),
        last=runs[0],
    )


def _failed_share(runs: Sequence[Run]) -> float:
    return sum(run.has_failed for run in runs) / len(runs) if runs else 0.0


def _jobs(runs: Sequence[Run]) -> Iterator[JobFigures]:
    """The jobs, those that fail most and then the slowest first."""
    found: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for run in runs:
        for job in run.jobs:
            if job.seconds:
                attempt = (job.outcome in FAILED, job.seconds)
                found.setdefault((run.workflow, job.name), []).append(attempt)
    figures = [
        JobFigures(
            *key,
            runs=len(attempts),
            failures=sum(failed for failed, _ in attempts),
            seconds=median(seconds for _, seconds in attempts),
        )
        for key, attempts in found.items()
    ]
    return iter(sorted(figures, key=lambda item: (-item.failures, -item.seconds)))


def _flaky(runs: Sequence[Run]) -> list[FlakyTest]:
    """Tests and jobs by the number of commits on which they failed and passed."""
    commits: dict[tuple[str, str], set[str]] = {}
    ordered = sorted(runs, key=lambda run: run.commit)
    for commit, found in groupby(ordered, key=lambda run: run.commit):
        for key in _flaky_of_commit([*found]):
            commits.setdefault(key, set()).add(commit)
    flaky = [FlakyTest(*key, len(where)) for key, where in commits.items()]
    return sorted(flaky, key=lambda item: (-item.commits, item))


def _flaky_of_commit(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    suites = [suite for run in runs for suite in run.suites]
    for suite in suites:
        for test in suite.flaky:
            yield test, suite.artifact
        for test in suite.failed:
            if any(_passed(other, suite, test) for other in suites):
                yield test, suite.artifact
    outcomes: dict[tuple[str, str], set[bool]] = {}
    for run in runs:
        for job in run.jobs:
            if job.outcome == "success" or job.outcome in FAILED:
                key = (f"job {job.name}", run.workflow)
                outcomes.setdefault(key, set()).add(job.outcome == "success")
    yield from (key for key, seen in outcomes.items() if len(seen) > 1)


def _passed(other: Suite, suite: Suite, test: str) -> bool:
    """Whether a test that failed in `suite` passed in `other`, of the same commit.

    The names of tests that pass are not kept: the same suite has the same tests, so
    that one with no fewer of them ran what did not fail and was not skipped.
    """
    return (
        (other.artifact, other.name) == (suite.artifact, suite.name)
        and other.total >= suite.total
        and other.has_all_names
        and test not in other.failed
        and test not in other.skipped
    )
