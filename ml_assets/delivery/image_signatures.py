"""Whether the images of a release are signed, and built from the code they should be.

Every image needs a signature for its digest and, where the signer names a repository
of code, a SLSA provenance for its digest from that repository and the commit of the
release. Both are bundles that refer to the image in the registry.
"""

from typing import Any

from ml_assets.delivery.deploy import digest_in
from ml_assets.delivery.errors import RefusedError
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import RegistryRefusedError
from ml_assets.delivery.releases import Release
from ml_assets.delivery.signed_statements import (
    BundleError,
    Statement,
    Verify,
    verifier,
)
from ml_assets.delivery.signer import UNVERIFIED, Signer, configured_signer

BUNDLE = "application/vnd.dev.sigstore.bundle"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
# An image has a few; whoever may push can add any number.
MOST_BUNDLES = 50


class UnverifiedImageError(RefusedError):
    """An image of a release is not signed as it must be."""


def verify_release(registry: Repository, release: Release) -> str:
    """Verify every image of a release; who signed them, in a sentence.

    Raises
    ------
    UnverifiedImageError
        With the image, what was found and what was expected.
    SettingsError
        If nothing says who signs, or its files cannot be used.
    RegistryUnavailableError
        If the registry did not answer, which says nothing of the images.
    """
    signer = configured_signer(registry)
    if signer is None:
        return UNVERIFIED
    verify = verifier(signer)
    for target, image in release.images.items():
        reason = _problem(registry, release, digest_in(image), signer, verify)
        if reason is not None:
            raise UnverifiedImageError(
                f"the image {target} of {release.name}, {image}: {reason}"
            )
    return f"its images are signed by {signer.name}"


def _problem(
    registry: Repository, release: Release, digest: str, signer: Signer, verify: Verify
) -> str | None:
    """Why an image is not signed as it must be; None where it is."""
    statements: list[Statement] = []
    problems: list[str] = []
    for descriptor in _bundles(registry, digest)[:MOST_BUNDLES]:
        try:
            statements.append(verify(_fetch(registry, descriptor)))
        except BundleError as error:
            problems.append(str(error))
    faults = "".join(f"; a bundle does not count: {text}" for text in problems)
    expected = f", expected one of {signer.name}{faults}"
    signatures = [item for item in statements if item.get("predicateType") == SIGNATURE]
    if not signatures:
        return f"no signature{expected}"
    if not any(digest in _subjects(item) for item in signatures):
        found = ", ".join(name for item in signatures for name in _subjects(item))
        return f"the signature is for {found or 'no digest'}, expected {digest}"
    if not signer.source:
        return None
    provenances = [
        item
        for item in statements
        if item.get("predicateType") == PROVENANCE and digest in _subjects(item)
    ]
    if not provenances:
        return f"no SLSA provenance for this digest{expected}"
    reasons = [_source_problem(item, signer, release) for item in provenances]
    return None if None in reasons else reasons[0]


def _bundles(registry: Repository, digest: str) -> list[dict[str, Any]]:
    """The descriptors of the bundles that refer to an image."""
    return [
        item
        for item in registry.referrers(digest)
        if str(item.get("artifactType", "")).startswith(BUNDLE)
    ]


def _fetch(registry: Repository, descriptor: dict[str, Any]) -> bytes:
    """The bytes of a bundle, which is the only layer of its manifest."""
    name = descriptor.get("digest")
    try:
        (layer,) = registry.manifest(str(name)).content["layers"]
        return registry.blob(str(layer["digest"]))
    except (KeyError, TypeError, ValueError, RegistryRefusedError) as error:
        raise BundleError(f"the bundle {name} is unreadable: {error!r}") from error


def _subjects(statement: Statement) -> list[str]:
    """The digests that a statement is about."""
    subjects = statement.get("subject")
    listed = subjects if isinstance(subjects, list) else []
    digests = [item.get("digest") for item in listed if isinstance(item, dict)]
    found = [item.get("sha256") for item in digests if isinstance(item, dict)]
    return [f"sha256:{value}" for value in found if isinstance(value, str)]


def _source_problem(
    provenance: Statement, signer: Signer, release: Release
) -> str | None:
    """Why a provenance (SLSA 1.0) is not that of the release; None where it is."""
    try:
        build = provenance["predicate"]["buildDefinition"]
        sources = {
            str(item["uri"])
            .removeprefix("git+")
            .partition("@")[0]: str(item["digest"].get("gitCommit", ""))
            for item in build["resolvedDependencies"]
            if "digest" in item
        }
        github = build.get("internalParameters", {}).get("github", {})
        event = github.get("event_name")
    except (AttributeError, KeyError, TypeError) as error:
        return f"the SLSA provenance is unreadable: {error!r}"
    if signer.source not in sources:
        found = ", ".join(sources) or "no repository"
        return f"the SLSA provenance names {found}, expected {signer.source}"
    commit = sources[signer.source]
    # For a run that follows another run GitHub states the head of the branch, which may
    # have moved on; the commit that was built is in the label of the signed image.
    if event != "workflow_run" and commit != release.commit:
        return (
            f"the SLSA provenance names the commit {commit or 'of nothing'}, expected"
            f" {release.commit}"
        )
    return None
