"""The report on CI as tables in Markdown.

Names of workflows and tests come from GitHub and are shown as code, in which neither
Markdown nor HTML means anything.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import groupby

from ml_assets.delivery.ci_report import CiReport
from ml_assets.delivery.ci_runs import Run

ROWS = 20
LONGEST = 160


def tables(report: CiReport) -> dict[str, str]:
    """Title to table, of those that have a row."""
    found = {
        "status": _table(
            ("workflow", "newest", "failed", "earlier", "median", "runs"),
            (
                (
                    code(item.name),
                    _outcome(item.last),
                    f"{item.failure_ratio:.0%}",
                    f"{item.earlier_ratio:.0%}",
                    duration(item.seconds),
                    str(item.runs),
                )
                for item in report.workflows
            ),
        ),
        "trend": _trend(report.runs),
        "newest_runs": _table(
            ("run", "workflow", "commit", "conclusion", "attempt", "duration"),
            (
                (
                    str(run.number),
                    code(run.workflow),
                    code(run.commit[:12]),
                    _outcome(run),
                    str(run.attempt),
                    duration(run.seconds),
                )
                for run in report.runs
            ),
        ),
        "jobs": _table(
            ("job", "workflow", "failed", "of", "median"),
            (
                (
                    code(job.name),
                    code(job.workflow),
                    str(job.failures),
                    str(job.runs),
                    duration(job.seconds),
                )
                for job in report.jobs
            ),
        ),
        "failing_tests": _table(
            ("test", "artifact"),
            ((code(test), code(where)) for test, where in report.failing_tests),
        ),
        "flaky_tests": _table(
            ("test or job", "where", "commits"),
            (
                (code(item.name), code(item.where), str(item.commits))
                for item in report.flaky
            ),
        ),
        "slowest_tests": _table(
            ("test", "artifact", "seconds"),
            (
                (code(test), code(where), f"{seconds:.1f}")
                for test, where, seconds in report.slowest
            ),
        ),
    }
    return {name: table for name, table in found.items() if table}


def code(text: str) -> str:
    """A text as code in a cell of a table.

    Examples
    --------
    >>> code("a|b `c`")
    "`a\\\\|b 'c'`"
    """
    line = " ".join(text.split()).replace("`", "'")[:LONGEST]
    return f"`{line}`".replace("|", "\\|") if line else ""


def duration(seconds: float) -> str:
    """Seconds for people.

    Examples
    --------
    >>> duration(42.0), duration(754.0)
    ('42 s', '12 min 34 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _trend(runs: Sequence[Run]) -> str:
    """Verdicts and failures of each day in UTC, the newest first."""
    decided = sorted((r for r in runs if r.has_verdict), key=lambda r: -r.started)
    rows = []
    for day, found in groupby(decided, key=_day):
        ended = [*found]
        failures = sum(run.has_failed for run in ended)
        share = f"{failures / len(ended):.0%}"
        rows.append((day, str(len(ended)), str(failures), share))
    return _table(("day", "runs", "failed", "share"), rows)


def _day(run: Run) -> str:
    return dt.datetime.fromtimestamp(run.started, dt.UTC).date().isoformat()


def _outcome(run: Run) -> str:
    words = code(run.outcome)
    is_address = run.url.startswith("https://") and not {*run.url} & {*"()|<> "}
    return f"[{words}]({run.url})" if is_address else words


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with at most `ROWS` rows; empty where there is none."""
    found = [*rows]
    if not found:
        return ""
    lines = [head, ["---"] * len(head), *found[:ROWS]]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    left = len(found) - ROWS
    return f"{table}\n\nand {left} more" if left > 0 else table
