"""Signed statements on images, as `cosign` and GitHub write them into a registry."""

import base64
import hashlib
import json
from typing import Any, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ml_assets_tests.kits.oci import (
    INDEX,
    MANIFEST,
    described,
    digest_of,
)

SOURCE = "https://github.com/acme/ml-assets"
WORKFLOW = f"{SOURCE}/.github/workflows/cd.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"


class Registry(Protocol):
    """Where bundles are pushed to."""

    def put_blob(self, data: bytes) -> None: ...

    def put_manifest(self, reference: str, body: bytes, kind: str) -> None: ...

    def find_manifest(self, reference: str) -> bytes | None: ...


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(der(key)).digest()


def signature_of(digest: str) -> dict[str, Any]:
    """The statement of `cosign sign` on an image."""
    return _statement(digest, SIGNATURE, {})


def provenance_of(
    digest: str, commit: str, source: str = SOURCE, event: str = "push"
) -> dict[str, Any]:
    """The statement of GitHub's attestation of a build."""
    dependency = {
        "uri": f"git+{source}@refs/heads/main",
        "digest": {"gitCommit": commit},
    }
    build = {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "internalParameters": {"github": {"event_name": event}},
        "resolvedDependencies": [dependency],
    }
    return _statement(digest, PROVENANCE, {"buildDefinition": build})


def _statement(digest: str, kind: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": kind,
        "predicate": predicate,
    }


def envelope(key: ec.EllipticCurvePrivateKey, statement: dict[str, Any]) -> Any:
    payload = json.dumps(statement).encode()
    text = f"DSSEv1 {len(IN_TOTO)} {IN_TOTO} {len(payload)} ".encode() + payload
    return {
        "payload": b64(payload),
        "payloadType": IN_TOTO,
        "signatures": [{"sig": b64(signed(key, text))}],
    }


def by_key(key: ec.EllipticCurvePrivateKey, statement: dict[str, Any]) -> Any:
    """A bundle as `cosign sign --key` writes it without a log."""
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": b64(key_id(key))}},
        "dsseEnvelope": envelope(key, statement),
    }


def attach(registry: Registry, digest: str, bundle: Any) -> None:
    """Push a bundle as what refers to an image, under the tag that stands in, too."""
    data, empty = json.dumps(bundle).encode(), b"{}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": described(empty, "application/vnd.oci.empty.v1+json"),
            "layers": [described(data, BUNDLE)],
            "subject": {"mediaType": INDEX, "digest": digest, "size": 1},
        }
    ).encode()
    registry.put_blob(data)
    registry.put_blob(empty)
    registry.put_manifest(digest_of(manifest), manifest, MANIFEST)
    tag = digest.replace(":", "-")
    index = json.loads(registry.find_manifest(tag) or b'{"manifests": []}')
    index["manifests"].append(described(manifest, MANIFEST, artifactType=BUNDLE))
    whole = {"schemaVersion": 2, "mediaType": INDEX, **index}
    registry.put_manifest(tag, json.dumps(whole).encode(), INDEX)
