"""The validation report: what was checked on which data, and what came of it."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ml_assets.ml.column_contract import Violation
from ml_assets.quality.outcome import ExpectationOutcome, plain

FORMAT = 1


def build_report(
    model: str,
    data_version: str,
    outcomes: Sequence[ExpectationOutcome],
    violations: Sequence[Violation],
    rows: int,
) -> dict[str, Any]:
    """The validation of one table as a JSON value, the same for the same input.

    Parameters
    ----------
    model : str
        Name of the model.
    data_version : str
        Content hash of the table.
    outcomes : sequence of ExpectationOutcome
        From `run_expectations`, in the order of the YAML.
    violations : sequence of Violation
        From `Contract.compare`.
    rows : int
        Rows of the table.

    Returns
    -------
    dict
        ``format`` (the version of this layout), ``model``, ``data_version``, ``rows``;
        ``summary``: ``passed`` (no expectation failed and no violation is an error) and
        the numbers of ``expectations``, ``failed``, ``errors`` and ``warnings``;
        ``expectations`` in the order given and ``violations`` errors first.

    Examples
    --------
    >>> build_report("census_income", "5b00", [], [], rows=3)["summary"]
    {'passed': True, 'expectations': 0, 'failed': 0, 'errors': 0, 'warnings': 0}
    """
    failed = sum(not outcome.passed for outcome in outcomes)
    errors = sum(violation.severity == "error" for violation in violations)
    ordered = sorted(violations, key=lambda violation: violation.severity != "error")
    return {
        "format": FORMAT,
        "model": model,
        "data_version": data_version,
        "rows": rows,
        "summary": {
            "passed": failed == 0 and errors == 0,
            "expectations": len(outcomes),
            "failed": failed,
            "errors": errors,
            "warnings": len(violations) - errors,
        },
        "expectations": [plain(msgspec.to_builtins(item)) for item in outcomes],
        "violations": [plain(msgspec.to_builtins(item)) for item in ordered],
    }


def summarise(report: Mapping[str, Any]) -> str:
    """`report` as Markdown: a sentence, and a table with what failed first.

    Examples
    --------
    >>> print(summarise(build_report("census_income", "5b00", [], [], rows=3)))
    **passed**: 3 rows, 0 of 0 expectations failed; contract: 0 errors, 0 warnings
    """
    counts = report["summary"]
    verdict = "passed" if counts["passed"] else "failed"
    head = (
        f"**{verdict}**: {report['rows']:,} rows, {counts['failed']} of"
        f" {counts['expectations']} expectations failed; contract:"
        f" {counts['errors']} errors, {counts['warnings']} warnings"
    )
    rows = sorted(_rows(report), key=lambda row: ORDER.index(row[0]))
    if not rows:
        return head
    table = [("result", "check", "finding"), ("---", "---", "---"), *rows]
    return "\n".join([head, "", *(f"| {' | '.join(row)} |" for row in table)])


ORDER = ["failed", "warning", "passed"]


def _rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    violations = [
        (
            "failed" if item["severity"] == "error" else "warning",
            f"contract: {_cell(item['rule'])}",
            _cell(item["message"]),
        )
        for item in report["violations"]
    ]
    expectations = [
        (
            "passed" if item["passed"] else "failed",
            _cell(item["name"]),
            _cell(item["message"]),
        )
        for item in report["expectations"]
    ]
    return violations + expectations


def _cell(text: str) -> str:
    """`text` so that no value from the data can form Markdown, HTML or a new cell."""
    escaped = re.sub(r"([\\`*|\[\]~])", r"\\\1", " ".join(text.split()))
    return html.escape(escaped, quote=False)
