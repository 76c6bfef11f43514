"""Signed statements: a Sigstore bundle, verified, becomes the statement in it.

A bundle holds a DSSE envelope with an in-toto statement, as `cosign sign`, `cosign
attest` and GitHub's attestations write it. It is verified without asking a server: by
the certificate of its signer, which a certificate authority gave out, and by the entry
of a transparency log, both of a trusted root; or by a public key.
"""

import base64
import json
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ml_assets.delivery.environments import SettingsError
from ml_assets.delivery.errors import RefusedError
from ml_assets.delivery.signer import Signer

IN_TOTO = "application/vnd.in-toto+json"
PUBLIC_INSTANCE = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
ROOT = "trusted_root.json"

Statement = dict[str, Any]
Verify = Callable[[bytes], Statement]


class BundleError(RefusedError):
    """A bundle is unreadable, or not signed by whom it should be."""


def verifier(signer: Signer) -> Verify:
    """A function from the bytes of a bundle to its statement.

    It raises `BundleError`, with the reason of the library that verifies.

    Raises
    ------
    SettingsError
        If the file of the key or of the trusted root cannot be used.
    """
    return _by_key(signer.key) if signer.key else _by_certificate(signer)


def _by_certificate(signer: Signer) -> Verify:
    from cryptography.x509 import ExtensionNotFound
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    policy = Identity(identity=signer.identity, issuer=signer.issuer)
    try:
        verifier = Verifier(trusted_root=_trusted_root(signer.trusted_root))
    except (OSError, ValueError, Error) as error:
        raise SettingsError(
            "the trusted root of signatures cannot be read; name a file of it by"
            f" ML_ASSETS_RELEASE_TRUSTED_ROOT: {error}"
        ) from error

    def verify(data: bytes) -> Statement:
        try:
            bundle = Bundle.from_json(data)
        except (Error, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise BundleError(f"the bundle is unreadable: {reason}") from error
        try:
            kind, payload = verifier.verify_dsse(bundle, policy)
        except (Error, ValueError, ExtensionNotFound) as error:
            raise BundleError(str(error)) from error
        return _statement(kind, payload)

    return verify


def _trusted_root(path: str) -> Any:
    from sigstore.models import TrustedRoot

    if path:
        return TrustedRoot.from_file(path)
    # The library's own way keeps a copy in the home directory, which it never renews
    # without a request, and which a container with a read-only root has not.
    with as_file(files("sigstore._store") / PUBLIC_INSTANCE / ROOT) as embedded:
        return TrustedRoot.from_file(str(embedded))


def _by_key(path: str) -> Verify:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"ML_ASSETS_RELEASE_SIGNER_KEY: {path} cannot be read as a public key in"
            f" PEM: {error}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SettingsError(
            f"ML_ASSETS_RELEASE_SIGNER_KEY: {path} has a key of another algorithm,"
            " expected ECDSA, as `cosign generate-key-pair` makes it"
        )

    def verify(data: bytes) -> Statement:
        kind, payload, signatures = _envelope(data)
        for signature in signatures:
            try:
                key.verify(signature, _signed(kind, payload), ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                continue
            return _statement(kind, payload)
        raise BundleError(f"the signature is not one of the key {path}")

    return verify


def _envelope(data: bytes) -> tuple[str, bytes, list[bytes]]:
    """The kind and payload of the envelope in a bundle, and its signatures."""
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"])
        found = [base64.b64decode(item["sig"]) for item in envelope["signatures"]]
        return str(envelope["payloadType"]), payload, found
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the bundle is unreadable: {error!r}") from error


def _signed(kind: str, payload: bytes) -> bytes:
    """What a signature of an envelope is over (DSSE's pre-authentication encoding)."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _statement(kind: str, payload: bytes) -> Statement:
    try:
        found = json.loads(payload)
    except ValueError:
        found = None
    if kind != IN_TOTO or not isinstance(found, dict):
        raise BundleError(f"the bundle has '{kind}', expected a statement of in-toto")
    return found
