"""``ml-assets keys``: keys that sign plans and ledgers, and API keys of callers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli import api_keys
from ml_assets.cli.output import EXIT_CODES, Failed, reporting_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_to = click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("keys"),
    show_default=True,
    help="Directory of the new files.",
)


@click.group("keys", epilog=EXIT_CODES)
def command() -> None:
    """Make the keys that sign what is decided, and the API keys of callers.

    `new` and `rotate` make the first. Runs get the private key as
    ML_ASSETS_SIGNING_KEY. Model servers, the exporter and auditors get the public ones
    as ML_ASSETS_VERIFY_KEYS: they verify with them and can sign nothing. Each variable
    holds a PEM, or the path of a file with one.

    `add`, `list` and `revoke` keep the API keys of the model server, in a file that it
    follows as ML_ASSETS_KEYS_FILE. A caller sends its key with each request; our own
    commands send that of ML_ASSETS_API_KEY.

    \b
    Examples:
      ml-assets keys new --to keys
      ml-assets keys rotate --to keys
      ml-assets keys add web --models 'churn*' --routes predict,feedback
    """


for _command in (api_keys.add, api_keys.show, api_keys.revoke):
    command.add_command(_command)


@command.command("new", epilog=EXIT_CODES)
@_to
def new(to: Path) -> None:
    """Write a new private key and its public key.

    No file is replaced: each carries the name of its key.
    """
    _make(to, {})


@command.command("rotate", epilog=EXIT_CODES)
@_to
def rotate(to: Path) -> None:
    """Write a new private key, and public keys that verify the old one's as well.

    The old keys are read from ML_ASSETS_SIGNING_KEY and ML_ASSETS_VERIFY_KEYS.
    """
    from ml_assets.core.signing import SIGNING, VERIFY, SigningKeyError, keys

    with reporting_errors(SigningKeyError):
        old = keys().public
    if not old:
        raise Failed(
            f"there is no key to rotate: set {SIGNING} or {VERIFY}, or begin with"
            " `ml-assets keys new`"
        )
    _make(to, old)


def _make(to: Path, old: "Mapping[str, Ed25519PublicKey]") -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ml_assets.core.signing import SIGNING, VERIFY, name_of

    key = Ed25519PrivateKey.generate()
    name, pem = name_of(key.public_key()), serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = b"".join(
        one.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        for one in (key.public_key(), *old.values())
    )
    signing, verify = to / f"signing-{name}.pem", to / f"verify-{name}.pem"
    with reporting_errors(OSError):
        to.mkdir(parents=True, exist_ok=True)
        _create(signing, private, 0o600)
        _create(verify, public, 0o644)
    click.echo(f"key {name}")
    click.echo(f"{VERIFY}={verify.absolute()}")
    click.echo(f"{SIGNING}={signing.absolute()}")
    if old:
        click.echo(
            "Give the public keys to everything that verifies first, and then the"
            f" private key to what signs. Still verified: {', '.join(old)}",
            err=True,
        )


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file that does not exist yet, and that nobody else could read before."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
