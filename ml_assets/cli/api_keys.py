"""``ml-assets keys add|list|revoke``: the API keys of the model server's callers."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from ml_assets.cli.output import (
    EXIT_CODES,
    Failed,
    echo_json,
    json_option,
    reporting_errors,
)
from ml_assets.core.files import atomic_path, locked
from ml_assets.serving.access import keys
from ml_assets.serving.access.keys import ApiKey, KeyFile

_file = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ML_ASSETS_KEYS_FILE",
    default=Path("keys.json"),
    show_default=True,
    help="File of the keys.  [env ML_ASSETS_KEYS_FILE]",
)


def _listed(_: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """The parts of a text between commas."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if not found:
        raise click.BadParameter("expected at least one", param=parameter)
    return found


def _rights(
    context: click.Context, parameter: click.Parameter, text: str
) -> tuple[str, ...]:
    found = _listed(context, parameter, text)
    for right in found:
        if right not in keys.RIGHTS:
            expected = ", ".join(keys.RIGHTS)
            raise click.BadParameter(
                f"found '{right}', expected some of {expected}", param=parameter
            )
    return found


@click.command("add", epilog=EXIT_CODES)
@click.argument("caller")
@click.option(
    "--models",
    default="*",
    show_default=True,
    callback=_listed,
    help="Globs of model names, by commas.",
)
@click.option(
    "--routes",
    default="predict",
    show_default=True,
    callback=_rights,
    help="Of predict, feedback, lookup, metadata, smoke; admin is all. By commas.",
)
@click.option("--expires", default="", help="A date or time, such as 2027-01-01.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Requests per second of each worker.",
)
@_file
def add(
    caller: str,
    models: tuple[str, ...],
    routes: tuple[keys.Right, ...],
    expires: str,
    rate: float | None,
    file: Path,
) -> None:
    """Make an API key for CALLER, and print it this once.

    The file keeps a SHA-256 of it. Servers that have the file as ML_ASSETS_KEYS_FILE
    take the key within a second. To replace one, add a key with another id, and revoke
    the old one when nothing sends it any more.

    \b
    Examples:
      ml-assets keys add web --models 'churn*' --routes predict,feedback
      ml-assets keys add batch --expires 2027-01-01 --rate 100 --file keys.json
    """
    with reporting_errors(ValueError):
        token, sha256 = keys.new_key(caller)
    key = ApiKey(
        id=caller,
        sha256=sha256,
        models=models,
        routes=routes,
        expires=expires,
        rate=rate,
    )
    _change(
        file,
        lambda found: msgspec.structs.replace(found, keys=(*found.keys, key)),
    )
    click.echo(token)
    click.echo(f"{file} has the key {caller}; it is not shown again.", err=True)


@click.command("list", epilog=EXIT_CODES)
@json_option
@_file
def show(as_json: bool, file: Path) -> None:
    """List the API keys and issuers: whose they are, and what they allow."""
    with reporting_errors(ValueError):
        found = keys.read(file)
    if as_json:
        echo_json(msgspec.to_builtins(found))
        return
    for key in found.keys:
        is_over = key.expires_at <= time.time()
        until = f"{'expired' if is_over else 'until'} {key.expires}"
        click.echo(_line(key.id, key, until if key.expires else "no end"))
    for issuer in found.issuers:
        for grant in issuer.grants:
            origin = f"{issuer.id} ({issuer.claim} {grant.value} of {issuer.issuer})"
            click.echo(_line(origin, grant, "as the token says"))
    if found.anonymous is not None:
        click.echo(_line("(no key)", found.anonymous, "no end"))


@click.command("revoke", epilog=EXIT_CODES)
@click.argument("caller")
@_file
def revoke(caller: str, file: Path) -> None:
    """Remove the API key of CALLER; servers refuse it within a second."""

    def without(found: KeyFile) -> KeyFile:
        left = tuple(key for key in found.keys if key.id != caller)
        if len(left) == len(found.keys):
            ids = ", ".join(key.id for key in found.keys) or "none"
            raise Failed(f"{file} has no key {caller}; it has {ids}")
        return msgspec.structs.replace(found, keys=left)

    _change(file, without)
    click.echo(f"{file} has the key {caller} no more.", err=True)


def _line(id_: str, grant: keys.Grant, until: str) -> str:
    rate = f"{grant.rate:g}/s" if grant.rate else "any rate"
    return "  ".join((id_, ",".join(grant.models), ",".join(grant.routes), until, rate))


def _change(file: Path, change: Callable[[KeyFile], KeyFile]) -> None:
    """Replace the file whole, so that a server reads the old keys or the new ones."""
    lock = file.with_name(f".{file.name}.lock")
    with reporting_errors(OSError, ValueError), locked(lock):
        found = keys.read(file) if file.exists() else KeyFile()
        data = msgspec.json.format(msgspec.json.encode(change(found))) + b"\n"
        keys.parse(data, str(file))
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        with atomic_path(file) as temporary:
            temporary.touch(mode)
            temporary.write_bytes(data)
            os.chmod(temporary, mode)
