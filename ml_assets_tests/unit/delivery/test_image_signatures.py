"""Signatures and provenance of the images of a release, over HTTP."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_assets.delivery.image_signatures import (
    UnverifiedImageError,
    verify_release,
)
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import RegistryUnavailableError
from ml_assets.delivery.releases import Release
from ml_assets_tests.kits.oci import COMMITS, Built, RegistryDouble, build
from ml_assets_tests.kits.signed_images import (
    SOURCE,
    WORKFLOW,
    attach,
    b64,
    by_key,
    new_key,
    pem,
    provenance_of,
    signature_of,
)
from ml_assets_tests.kits.sigstore import PrivateSigstore, signing

OTHER = "https://github.com/eve/ml-assets/.github/workflows/cd.yml@refs/heads/main"


@pytest.fixture
def sigstore(
    registry: RegistryDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> PrivateSigstore:
    found = signing(registry, monkeypatch, tmp_path)
    registry.sign = None
    return found


@pytest.fixture
def images(registry: RegistryDouble) -> dict[str, Built]:
    found = build(COMMITS["a"])
    registry.push(found, "main")
    return found


@pytest.fixture
def verify(
    connect: Callable[..., Repository],
    registry: RegistryDouble,
    images: dict[str, Built],
) -> Callable[[], str]:
    """Verifies the release that the images are."""
    listed = {
        target: f"{registry.image}@{images[target].digest}"
        for target in ("base", "production")
    }
    release = Release(
        digest=images["base"].digest,
        name="main",
        images=listed,
        commit=COMMITS["a"],
    )
    return lambda: verify_release(connect(), release)


def attach_all(registry: RegistryDouble, images: dict[str, Built], make: Any) -> None:
    for image in images.values():
        for bundle in make(image.digest):
            attach(registry, image.digest, bundle)


@pytest.mark.parametrize("has_referrers", [True, False])
def test_what_the_workflow_signed_and_built_is_verified(
    verify: Callable[[], str],
    registry: RegistryDouble,
    sigstore: PrivateSigstore,
    images: dict[str, Built],
    has_referrers: bool,
) -> None:
    registry.has_referrers = has_referrers
    # A bundle of somebody else, and one that is damaged, hide nothing.
    for image in images.values():
        eve = sigstore.bundle(signature_of(image.digest), OTHER)
        attach(registry, image.digest, eve)
        attach(registry, image.digest, ["no bundle"])
        sigstore.sign(registry, image)
    assert verify() == f"its images are signed by {WORKFLOW}"


def test_an_image_without_a_signature_is_refused(
    verify: Callable[[], str], sigstore: PrivateSigstore
) -> None:
    with pytest.raises(
        UnverifiedImageError, match="the image base of main, .*: no sig"
    ):
        verify()


def test_every_image_of_a_release_needs_its_own_signature(
    verify: Callable[[], str],
    registry: RegistryDouble,
    sigstore: PrivateSigstore,
    images: dict[str, Built],
) -> None:
    sigstore.sign(registry, images["base"])
    with pytest.raises(UnverifiedImageError, match="the image production of main"):
        verify()


def tampered(bundle: Any) -> Any:
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["predicate"] = {"changed": True}
    bundle["dsseEnvelope"]["payload"] = b64(json.dumps(statement).encode())
    return bundle


def unlogged(bundle: Any) -> Any:
    bundle["verificationMaterial"]["tlogEntries"] = []
    return bundle


def unpromised(bundle: Any) -> Any:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    entry["inclusionPromise"]["signedEntryTimestamp"] = b64(b"nobody")
    return bundle


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda s, d: s.bundle(signature_of(d), OTHER), "SANs do not match .*/eve/"),
        (
            lambda s, d: s.bundle(signature_of(d), issuer="https://login.example"),
            r"got 'https://login.example', expected 'https://token.actions",
        ),
        (
            lambda s, d: s.bundle(signature_of(d), delay=dt.timedelta(hours=1)),
            "not valid at validation time",
        ),
        (
            lambda s, d: s.bundle(signature_of("sha256:" + "0" * 64)),
            "the signature is for sha256:0{64}, expected sha256:",
        ),
        (lambda s, d: tampered(s.bundle(signature_of(d))), "DSSE: invalid signature"),
        (lambda s, d: unlogged(s.bundle(signature_of(d))), "the bundle is unreadable"),
        (lambda s, d: unpromised(s.bundle(signature_of(d))), "invalid log entry"),
        (lambda s, d: {"mediaType": "text/plain"}, "the bundle is unreadable"),
        (lambda s, d: by_key(new_key(), signature_of(d)), "unreadable: failed to load"),
        (lambda s, d: s.bundle(signature_of(d)), "no SLSA provenance for this digest"),
    ],
)
def test_a_signature_that_is_not_the_workflows_is_refused_with_its_reason(
    verify: Callable[[], str],
    registry: RegistryDouble,
    sigstore: PrivateSigstore,
    images: dict[str, Built],
    make: Callable[[PrivateSigstore, str], Any],
    reason: str,
) -> None:
    attach_all(registry, images, lambda digest: [make(sigstore, digest)])
    with pytest.raises(UnverifiedImageError, match=reason):
        verify()


def test_another_instance_of_sigstore_signs_nothing_here(
    verify: Callable[[], str],
    registry: RegistryDouble,
    sigstore: PrivateSigstore,
    images: dict[str, Built],
    tmp_path: Path,
) -> None:
    (tmp_path / "other").mkdir()
    other = PrivateSigstore(tmp_path / "other")
    for image in images.values():
        other.sign(registry, image)
    with pytest.raises(UnverifiedImageError, match="failed to build .* chain"):
        verify()


@pytest.mark.parametrize(
    "about, reason",
    [
        (
            {"source": "https://github.com/eve/fork"},
            f"names https://github.com/eve/fork, expected {SOURCE}",
        ),
        ({"commit": COMMITS["b"]}, f"names the commit {COMMITS['b']}, expected"),
        # The head of the branch has moved on while the tests of the commit ran.
        ({"commit": COMMITS["b"], "event": "workflow_run"}, None),
    ],
)
def test_the_provenance_names_the_repository_and_the_commit(
    verify: Callable[[], str],
    registry: RegistryDouble,
    sigstore: PrivateSigstore,
    images: dict[str, Built],
    about: dict[str, str],
    reason: str | None,
) -> None:
    def make(digest: str) -> list[Any]:
        provenance = provenance_of(digest, **{"commit": COMMITS["a"], **about})
        return [sigstore.bundle(signature_of(digest)), sigstore.bundle(provenance)]

    attach_all(registry, images, make)
    if reason is None:
        assert verify()
    else:
        with pytest.raises(UnverifiedImageError, match=reason):
            verify()


def test_a_key_may_sign_instead_of_an_identity(
    verify: Callable[[], str],
    registry: RegistryDouble,
    images: dict[str, Built],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    key, path = new_key(), tmp_path / "cosign.pub"
    path.write_bytes(pem(key))
    monkeypatch.setenv("ML_ASSETS_RELEASE_SIGNER_KEY", str(path))
    attach_all(registry, images, lambda d: [by_key(new_key(), signature_of(d))])
    with pytest.raises(UnverifiedImageError, match="not one of the key"):
        verify()
    attach_all(registry, images, lambda d: [by_key(key, signature_of(d))])
    assert verify() == f"its images are signed by the key {path}"
    # With a repository named, the provenance is needed, too.
    monkeypatch.setenv("ML_ASSETS_RELEASE_SOURCE", SOURCE)
    with pytest.raises(UnverifiedImageError, match="no SLSA provenance"):
        verify()
    provenances = [by_key(key, provenance_of(images["base"].digest, COMMITS["a"]))]
    attach(registry, images["base"].digest, provenances[0])
    with pytest.raises(UnverifiedImageError, match="the image production .*no SLSA"):
        verify()


def test_a_registry_that_does_not_answer_refuses_nothing(
    verify: Callable[[], str], registry: RegistryDouble, sigstore: PrivateSigstore
) -> None:
    registry.faults = [(503, {})] * 10
    with pytest.raises(RegistryUnavailableError):
        verify()
