"""``ml-assets versions MODEL``: every version of a model and the gate's verdict."""

import datetime as dt
from typing import Any

import click

from ml_assets.cli.console import Fragment, table
from ml_assets.cli.context import require_known
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
)
from ml_assets.cli.version_status import (
    figure,
    gate,
    judged_by,
    metrics,
    mode_of,
    verdict,
)
from ml_assets.records.plan import STAMP
from ml_assets.records.version import VersionRecord
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions


@click.command("versions", epilog=EXIT_CODES)
@click.argument("model")
@click.option("--limit", type=click.IntRange(min=1), help="Show the newest only.")
@json_option
def command(model: str, limit: int | None, as_json: bool) -> None:
    """List the versions of MODEL, newest first, with the gate's verdict on each.

    \b
    Examples:
      ml-assets versions breast_cancer
      ml-assets versions breast_cancer --limit 1 --json

    JSON keys of each of "versions": version, created, metric (that of the gate, by
    which versions are compared), value, metrics, gate (passed, reason, clauses),
    runtime, runtime_reason, in_service, mode, estimator, data_version,
    features_version, train_rows, test_rows, fit_seconds, registry_version, run_id,
    git_commit.
    """
    require_known(model)
    found = rows(model, limit)
    if as_json:
        echo_json({"model": model, "versions": found})
        return
    if not found:
        click.echo(
            f"{model} has no version yet; train one: ml-assets train {model}", err=True
        )
        return
    headers = ["version", "figure", "gate", "runtime", "data", "serves", "reason"]
    table(headers, [_line(row) for row in found])


def rows(model: str, limit: int | None = None) -> list[dict[str, Any]]:
    """What ``--json`` prints of each version, newest first."""
    plan, found = Plans().serving(model), Versions().judged(model, limit)
    return [
        _row(record, evaluation, mode_of(record.version, plan))
        for record, evaluation in found
    ]


def _row(
    record: VersionRecord, evaluation: dict[str, Any] | None, mode: str | None
) -> dict[str, Any]:
    created = dt.datetime.strptime(record.version, STAMP).replace(tzinfo=dt.UTC)
    return {
        "version": record.version,
        "created": created.isoformat(),
        **judged_by(evaluation),
        "metrics": metrics(evaluation),
        "gate": gate(evaluation),
        "runtime": record.runtime,
        "runtime_reason": record.runtime_reason or None,
        "in_service": mode is not None,
        "mode": mode,
        "estimator": record.estimator,
        "data_version": record.raw_version,
        "features_version": record.features_version,
        "train_rows": record.train_rows,
        "test_rows": record.test_rows,
        "fit_seconds": record.fit_seconds,
        "registry_version": record.registry_version,
        "run_id": record.run_id,
        "git_commit": record.git_commit,
    }


def _line(row: dict[str, Any]) -> list[Fragment]:
    decision = row["gate"] or {"passed": None, "reason": ""}
    return [
        row["version"],
        figure(row),
        verdict(decision["passed"]),
        row["runtime"],
        row["data_version"][:12],
        ("in service", "green") if row["mode"] == "live" else row["mode"] or "",
        decision["reason"],
    ]
