"""``ml-assets lineage PREDICTION_ID``: where an answer came from."""

import datetime as dt
import sys
from typing import Any

import click

from ml_assets.cli.console import item
from ml_assets.cli.output import echo_json, json_option, reporting_errors


@click.command(
    "lineage",
    epilog="Exit codes: 0 found, 1 not found or altered since, 2 wrong usage.",
)
@click.argument("prediction_id")
@json_option
def command(prediction_id: str, as_json: bool) -> None:
    """Show everything that led to the answer PREDICTION_ID.

    Its input, version, training run, data, code, environment, checks, and the entry in
    the ledger that let it through. Each file is compared with the SHA-256 that was
    written when it was made; what does not match is listed under problems.

    \b
    Examples:
      ml-assets lineage 019aae2f-a000-7000-8000-000000000000
      ml-assets lineage 019aae2f-a000-7000-8000-000000000000 --json | jq .hashes

    JSON keys: id, model, answer, shadow, input, version, training, data, validation,
    metrics, gate, plan, ledger, hashes (path, expected, found, matches), problems.
    """
    from ml_assets.lifecycle.lineage import LineageError, lineage

    with reporting_errors(LineageError):
        found = lineage(prediction_id)
    if as_json:
        echo_json(found)
    else:
        for name, value in summary(found):
            item((name, "bold"), value, width=12)
        for problem in found["problems"]:
            click.echo(f"problem: {problem}", err=True)
    sys.exit(1 if found["problems"] else 0)


def summary(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The lineage for people: a line each of what it is and its value."""
    answer, version, training = found["answer"], found["version"], found["training"]
    gate, entry, checks = found["gate"], found["ledger"], found["validation"]
    moment = dt.datetime.fromtimestamp(answer["time"], dt.UTC)
    matching = sum(item["matches"] for item in found["hashes"])
    code = [f"{name} {sha}" for name, sha in training["user_code"].items()]
    return [
        ("answer", f"{answer['label']}, probability {answer['probability']}"),
        ("given", f"{moment:%Y-%m-%d %H:%M:%S} UTC in {answer['microseconds']} us"),
        *([("caller", answer["caller"])] if "caller" in answer else []),
        ("input", ", ".join(f"{k}={v!r}" for k, v in found["input"].items())),
        ("version", f"{version['version']} of {found['model']}, arm {answer['arm']}"),
        ("estimator", f"{version['estimator']} ({version['runtime']} runtime)"),
        ("training", f"run {training['run_id']}, {training['seconds']} s"),
        ("code", f"commit {training['git_commit']}"),
        *([("own code", ", ".join(code))] if code else []),
        ("environment", training["environment"]),
        ("raw data", found["data"]["raw_version"]),
        ("features", found["data"]["features_version"]),
        ("checks", _checks(checks) if checks else "no validation is kept"),
        ("gate", gate["reason"] if gate else "not evaluated"),
        ("ledger", _entry(entry) if entry else "no entry"),
        ("hashes", f"{matching} of {len(found['hashes'])} match"),
    ]


def _checks(summary: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in summary.items())


def _entry(entry: dict[str, Any]) -> str:
    return (
        f"entry {entry['seq']}, {entry['kind']} of plan {entry['generation']} at"
        f" {entry['time'][:19]} by {entry['who']}: {entry['why']}"
    )
