"""``ml-assets models``: every model, and what serves it."""

from typing import Any

import click

from ml_assets.cli.console import Fragment, table
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
)
from ml_assets.cli.version_status import figure, judged_by, summary, verdict
from ml_assets.spec.catalogue import survey
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions


@click.command("models", epilog=EXIT_CODES)
@json_option
def command(as_json: bool) -> None:
    """List the models: their source, what serves them, and the last evaluation.

    \b
    Examples:
      ml-assets models
      ml-assets models --json | jq '.models[].champion'

    JSON keys of each of "models": model, description, source, schedule, broken (what
    is wrong with its YAML, or null), champion, generation, runtime, metric (that of
    the gate, by which versions are compared) and value of what serves, versions, and
    last with version, metric, value, passed and reason (null before the first
    evaluation).
    """
    found = rows()
    if as_json:
        echo_json({"models": found})
        return
    headers = ["model", "source", "in service", "plan", "figure", "last", "schedule"]
    table(headers, [_line(row) for row in found])
    for row in found:
        if row["broken"]:
            click.echo(f"{row['model']} is broken: {row['broken']}", err=True)
        if row["last"] and row["last"]["passed"] is False:
            last = row["last"]
            click.echo(f"{row['model']} {last['version']}: {last['reason']}", err=True)


def rows() -> list[dict[str, Any]]:
    """What ``--json`` prints of each model."""
    described, broken = survey()
    stored = {*Versions().models(), *Plans().models()}
    names = sorted({*described, *broken, *stored})
    return [
        _row(name, described.get(name)) | {"broken": broken.get(name)} for name in names
    ]


def _row(model: str, spec: ModelSpec | None) -> dict[str, Any]:
    store, plan = Versions(), Plans().serving(model)
    last = store.last_evaluated(model)
    judged = store.evaluation(model, last) if last else None
    champion = plan.live.version if plan else None
    serving = store.evaluation(model, champion) if champion else None
    return {
        "model": model,
        "description": spec.description if spec else None,
        "source": _source(spec) if spec else None,
        "schedule": spec.schedule if spec else None,
        "champion": champion,
        "generation": plan.generation if plan else None,
        "runtime": plan.live.runtime if plan else None,
        **judged_by(serving),
        "versions": store.count(model),
        "last": {"version": last, **summary(judged)} if judged else None,
    }


def _source(spec: ModelSpec) -> str:
    source = spec.source
    origin = source.dataset or source.path or (source.url and "url") or ""
    return f"{source.type} {origin}".strip()


def _line(row: dict[str, Any]) -> list[Fragment]:
    last = row["last"]
    return [
        row["model"],
        ("broken YAML", "red") if row["broken"] else row["source"] or "no YAML",
        row["champion"] or "nothing",
        str(row["generation"] or "-"),
        figure(row),
        verdict(last["passed"], figure(last)) if last else "-",
        row["schedule"] or "-",
    ]
