"""``ml-assets migrate``: state and storage of an earlier release, brought forward."""

from pathlib import Path

import click

from ml_assets.cli.console import table
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)


@click.command("migrate", epilog=EXIT_CODES)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The ML_ASSETS_STORAGE of release 0.1, whose state is files.",
)
@click.option("--dry-run", is_flag=True, help="Verify and count, and change nothing.")
@json_option
def command(source: Path | None, dry_run: bool, as_json: bool) -> None:
    """Bring the schema of the database forward, and move files of release 0.1 there.

    The schema is brought forward at every start as well. With --from, ledgers, plans,
    versions, tables, reports and the prediction log go to ML_ASSETS_DATABASE_URL and
    ML_ASSETS_STORAGE, which may be the same directory. Every ledger is verified before
    and after, and nothing changes in DIRECTORY; stop its runs first. What was moved is
    passed over, so that the command may be repeated.

    \b
    Examples:
      ml-assets migrate --dry-run
      ml-assets migrate --from .ml_assets --dry-run
      ml-assets migrate --from .ml_assets

    JSON keys: revisions, dry_run, models (model, entries, plans, objects, copied),
    releases, attempts, notifications.
    """
    quiet_libraries()
    from ml_assets.delivery.migration import migrate as migrate_delivery
    from ml_assets.lifecycle.migration import MigrationError, migrate
    from ml_assets.state.engine import pending_revisions, reading

    revisions = pending_revisions()
    if not dry_run:
        with reading():
            """The first use of the database applies what it lacks."""
    found = []
    moved = (0, 0, 0)
    if source is not None:
        with reporting_errors(MigrationError):
            found = list(migrate(source.absolute(), dry_run))
            moved = migrate_delivery(source.absolute(), dry_run)
    releases, attempts, notifications = moved
    if as_json:
        echo_json(
            {
                "revisions": revisions,
                "dry_run": dry_run,
                "models": [item._asdict() for item in found],
                "releases": releases,
                "attempts": attempts,
                "notifications": notifications,
            }
        )
        return
    if revisions:
        verb = "lacks" if dry_run else "was brought forward by"
        click.echo(f"The database {verb} {len(revisions)} revisions.")
    else:
        click.echo("The database is up to date.")
    if found:
        headers = ["model", "entries", "plans", "objects", "copied"]
        table(headers, [[str(value) for value in item] for item in found])
    if source is not None:
        click.echo(
            f"{releases} releases, {attempts} attempts, {notifications} notifications"
        )
