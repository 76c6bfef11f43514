"""``ml-assets retention MODEL``: remove what nothing needs any more."""

import time

import click

from ml_assets.cli.console import table
from ml_assets.cli.context import chosen_target, spec_of
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)


@click.command("retention", epilog=EXIT_CODES)
@click.argument("model")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@json_option
def command(model: str, dry_run: bool, as_json: bool) -> None:
    """Remove versions, tables, reports and predictions of MODEL that nothing needs.

    Does now what the schedule does every day at 04:00 UTC, by the ages and counts of
    `retention` in the model's YAML. Nothing goes that an active plan, the previous
    version, a hold, or a prediction that is kept refers to.

    \b
    Examples:
      ml-assets retention breast_cancer --dry-run
      ml-assets retention breast_cancer --json

    JSON keys: model, dry_run, bytes, items (kind, name, reason), postponed.
    """
    quiet_libraries()
    spec = spec_of(model)
    from ml_assets.lifecycle.cleanup import clean
    from ml_assets.targets import RolloutError

    with reporting_errors(RolloutError):
        cleaned = clean(chosen_target(), model, spec.retention, time.time(), dry_run)
    if as_json:
        echo_json(
            {
                "model": model,
                "dry_run": dry_run,
                "bytes": cleaned.bytes,
                "items": [item._asdict() for item in cleaned.deletions],
                "postponed": cleaned.postponed,
            }
        )
        return
    if cleaned.deletions:
        table(["what", "name", "why"], [list(item) for item in cleaned.deletions])
    verb = "would go" if dry_run else "went"
    click.echo(f"{len(cleaned.deletions)} items, {cleaned.bytes:,} bytes {verb}")
    for text in cleaned.postponed:
        click.echo(f"put off: {text}", err=True)
