"""A private Sigstore in small: its authority, its two logs, and the bundles they sign.

The certificates, the proof of the log and the trusted root have the formats of the
public instance; a log has one entry.
"""

import base64
import datetime as dt
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ml_assets_tests.kits.oci import Built
from ml_assets_tests.kits.signed_images import (
    BUNDLE,
    ISSUER,
    WORKFLOW,
    Registry,
    attach,
    b64,
    der,
    envelope,
    key_id,
    new_key,
    provenance_of,
    signature_of,
    signed,
)

LIFE = dt.timedelta(minutes=10)


class PrivateSigstore:
    """An instance whose trusted root is written into a file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.certificates, self.log = new_key(), new_key(), new_key()
        self.root = self._self_signed()
        self.trusted_root = folder / "trusted_root.json"
        self.trusted_root.write_text(json.dumps(self._trusted()))

    def variables(self) -> dict[str, str]:
        """The variables that name the workflow as the signer of images."""
        return {
            "ML_ASSETS_RELEASE_SIGNER": WORKFLOW,
            "ML_ASSETS_RELEASE_TRUSTED_ROOT": str(self.trusted_root),
        }

    def sign(self, registry: Registry, image: Built) -> None:
        """Sign an image and attest how it was built, as the workflow does."""
        statements = (
            signature_of(image.digest),
            provenance_of(image.digest, image.commit),
        )
        for statement in statements:
            attach(registry, image.digest, self.bundle(statement))

    def bundle(
        self,
        statement: dict[str, Any],
        identity: str = WORKFLOW,
        issuer: str = ISSUER,
        delay: dt.timedelta = dt.timedelta(),
    ) -> Any:
        """A bundle whose entry in the log is `delay` later than its certificate."""
        key, now = new_key(), dt.datetime.now(dt.UTC).replace(microsecond=0)
        certificate = self._certificate(key, identity, issuer, now)
        sealed = envelope(key, statement)
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {
                    "rawBytes": b64(certificate.public_bytes(Encoding.DER))
                },
                "tlogEntries": [self._entry(certificate, sealed, now + delay)],
            },
            "dsseEnvelope": sealed,
        }

    def _entry(
        self, certificate: x509.Certificate, sealed: Any, at: dt.datetime
    ) -> Any:
        payload = base64.b64decode(sealed["payload"])
        verifier = b64(certificate.public_bytes(Encoding.PEM))
        spec = {
            "envelopeHash": _sha256(json.dumps(sealed).encode()),
            "payloadHash": _sha256(payload),
            "signatures": [
                {"signature": sealed["signatures"][0]["sig"], "verifier": verifier}
            ],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        moment = int(at.timestamp())
        promised = {
            "body": b64(body),
            "integratedTime": moment,
            "logID": key_id(self.log).hex(),
            "logIndex": 0,
        }
        leaf = hashlib.sha256(b"\x00" + body).digest()
        note = f"log.example\n1\n{b64(leaf)}\n"
        seal = b64(key_id(self.log)[:4] + signed(self.log, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(key_id(self.log))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {
                "signedEntryTimestamp": b64(signed(self.log, _canonical(promised)))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(leaf),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.example {seal}\n"},
            },
            "canonicalizedBody": b64(body),
        }

    def _self_signed(self) -> x509.Certificate:
        name, now = _name("authority"), dt.datetime.now(dt.UTC)
        public = self.authority.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public), critical=False
            )
            .sign(self.authority, hashes.SHA256())
        )

    def _certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        identity: str,
        issuer: str,
        now: dt.datetime,
    ) -> x509.Certificate:
        """The certificate of an identity, with the promise of the log of those."""
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
        parent = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self.authority.public_key()
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + LIFE)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False
            )
            .add_extension(parent, critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]),
                critical=True,
            )
            .add_extension(x509.UnrecognizedExtension(oid, issuer.encode()), False)
        )
        without = builder.sign(self.authority, hashes.SHA256())
        promise = self._promise(without.tbs_certificate_bytes, now)
        listed = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), promise
        )
        return builder.add_extension(listed, False).sign(
            self.authority, hashes.SHA256()
        )

    def _promise(self, precertificate: bytes, now: dt.datetime) -> bytes:
        """The list of one signed certificate timestamp (RFC 6962), as an extension."""
        moment = struct.pack("!Q", int(now.timestamp()) * 1000)
        length = len(precertificate).to_bytes(3, "big")
        entry = key_id(self.authority) + length + precertificate
        text = b"\0\0" + moment + b"\0\1" + entry + b"\0\0"
        seal = signed(self.certificates, text)
        known = b"\0" + key_id(self.certificates) + moment + b"\0\0\4\3"
        timestamp = known + struct.pack("!H", len(seal)) + seal
        one = struct.pack("!H", len(timestamp)) + timestamp
        whole = struct.pack("!H", len(one)) + one
        # An octet string of less than 256 bytes.
        size = [len(whole)] if len(whole) < 128 else [0x81, len(whole)]
        return bytes([4, *size]) + whole

    def _trusted(self) -> dict[str, Any]:
        since = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            return {
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(der(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": since,
                },
                "logId": {"keyId": b64(key_id(key))},
            }

        root = b64(self.root.public_bytes(Encoding.DER))
        authority = {
            "subject": {"organization": "acme", "commonName": "authority"},
            "uri": "https://authority.example",
            "certChain": {"certificates": [{"rawBytes": root}]},
            "validFor": since,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log)],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.certificates)],
            "timestampAuthorities": [],
        }


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        not authority, False, False, False, False, authority, authority, False, False
    )


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _canonical(value: Any) -> bytes:
    """JSON as RFC 8785 has it; the values are plain."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def signing(registry: Any, patch: Any, folder: Path) -> PrivateSigstore:
    """Sign what is pushed from now on, by the signer that variables name."""
    found = PrivateSigstore(folder)
    registry.sign = found.sign
    for name, value in found.variables().items():
        patch.setenv(name, value)
    return found
