"""``ml-assets ledger MODEL``: what was decided, and whether it was altered since."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from ml_assets.cli.console import table
from ml_assets.cli.context import chosen_target, require_known, who
from ml_assets.cli.output import (
    Failed,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)

if TYPE_CHECKING:
    from ml_assets.state.ledger import Ledger


@click.command(
    "ledger", epilog="Exit codes: 0 all agrees, 1 something does not, 2 wrong usage."
)
@click.argument("model")
@click.option("--repair", is_flag=True, help="Set the registry's aliases first.")
@click.option("--export", is_flag=True, help="Print the entries as lines of JSON.")
@click.option("--sign", is_flag=True, help="Add an entry that signs those before it.")
@json_option
def command(model: str, repair: bool, export: bool, sign: bool, as_json: bool) -> None:
    """Show every decision on MODEL and verify it against the plans and the registry.

    MODEL is `release` for the releases of the platform itself.

    An entry that was edited or is missing is named, and so is a plan without entry and
    an alias (champion, challenger, previous) that was moved by hand.

    \b
    Examples:
      ml-assets ledger breast_cancer
      ml-assets ledger release
      ml-assets ledger breast_cancer --export > breast_cancer.jsonl
      ml-assets ledger breast_cancer --json | jq '.entries[-1].evidence'

    With ML_ASSETS_SIGNING_KEY set, entries are signed as they are made; --sign begins
    with a ledger that is older than the key. ML_ASSETS_VERIFY_KEYS verifies them, and
    so can an auditor with what --export prints, without this package.

    JSON keys: model, findings with is_serious and message, and entries with seq, time,
    kind, model, version, generation, who, why, evidence, key, previous, hash,
    signature.
    """
    quiet_libraries()
    from ml_assets.core.signing import SigningKeyError
    from ml_assets.lifecycle.aliases import sync_aliases
    from ml_assets.lifecycle.audit import audit, audit_ledger
    from ml_assets.spec.reserved import RELEASE
    from ml_assets.state.ledger import Ledger
    from ml_assets.state.registry import RegistryError
    from ml_assets.targets import RolloutError

    is_release = model == RELEASE
    if not is_release:
        require_known(model)
    if repair and not is_release:
        with reporting_errors(RegistryError, RolloutError):
            with chosen_target().lock(model):
                sync_aliases(model)
    if sign:
        with reporting_errors(SigningKeyError):
            _sign(Ledger(), model)
    if export:
        for line in Ledger().export(model):
            click.echo(line, nl=False)
        return
    entries = Ledger().entries(model)
    findings = audit_ledger(model) if is_release else audit(model)
    if as_json:
        echo_json(
            {
                "model": model,
                "findings": [finding._asdict() for finding in findings],
                "entries": msgspec.to_builtins(entries),
            }
        )
    else:
        headers = ["entry", "time", "what", "version", "plan", "who", "why"]
        rows = [
            [
                str(entry.seq),
                entry.time[:19],
                entry.kind,
                entry.version,
                str(entry.generation or "-"),
                entry.who,
                entry.why,
            ]
            for entry in entries
        ]
        table(headers, rows)
        for finding in findings:
            click.echo(finding.message, err=True)
    sys.exit(1 if findings else 0)


def _sign(ledger: "Ledger", model: str) -> None:
    from ml_assets.core.signing import SIGNING, keys

    if keys().sign("") is None:
        raise Failed(f"there is no key that signs: set {SIGNING}")
    ledger.append(
        model,
        "signing",
        version="-",
        generation=None,
        who=who(),
        why="what stands before is covered by this entry's signature",
        evidence={},
    )
