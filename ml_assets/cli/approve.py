"""``ml-assets approve TAG``: a version of the platform that may go to production."""

import click

from ml_assets.cli.context import user, who
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)


@click.command("approve", epilog=EXIT_CODES)
@click.argument("tag")
@click.option("--reason", required=True, help="Why, for the ledger.")
@click.option("--who", "person", help="Who approves; by default the user here.")
@json_option
def command(tag: str, reason: str, person: str | None, as_json: bool) -> None:
    """Let what TAG points at in the registry into production.

    The ledger of releases keeps who, when and why; a shared account such as root is
    no person. A sensor deploys the version
    when it has passed in staging. An approval is used once: after a failure, another
    one is needed.

    \b
    Examples:
      ml-assets approve v1.2.0 --reason "tested by the risk team"
      ml-assets ledger release

    JSON keys: version, digest, entry, who, staging.
    """
    quiet_libraries()
    from ml_assets.delivery.approvals import approve
    from ml_assets.delivery.environments import repository
    from ml_assets.delivery.errors import ReleaseError

    with reporting_errors(ReleaseError):
        done = approve(repository(), tag, _named(person), reason)
    entry = done.entry
    if as_json:
        echo_json(
            {
                "version": entry.evidence["name"],
                "digest": entry.version,
                "entry": entry.seq,
                "who": entry.who,
                "staging": done.staging,
            }
        )
        return
    click.echo(
        f"entry {entry.seq} in the ledger of releases: approval of"
        f" {entry.evidence['name']}, {entry.version}"
    )
    click.echo(done.staging)


def _named(person: str | None) -> str:
    """Who approves; beside another name the user here stays in the ledger."""
    return who() if person is None else f"user {person}, run by {user()}"
