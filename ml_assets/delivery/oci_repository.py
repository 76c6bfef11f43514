"""A repository of an OCI registry: tags, manifests, referrers, and labels of images.

Reads with the four requests of the distribution API that it needs: tags, a manifest by
tag or digest, what refers to a digest, and a blob. Everything that has a digest is
compared with it.
"""

import hashlib
import json
import re
from typing import Any, NamedTuple

from ml_assets.delivery.oci_session import (
    Credentials,
    NotInRegistryError,
    RegistryRefusedError,
    RegistrySession,
)

PAGE = 1000
PAGES = 100
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
PLATFORM = ("linux", "amd64")

_IMAGE = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[\w.-]+(?::\d+)?)"
    r"/(?P<path>[a-z0-9][a-z0-9._/-]*)"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# As the distribution specification has it.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Manifest(NamedTuple):
    """What a tag points at: the digest that pulls it, and its parsed JSON."""

    digest: str
    content: dict[str, Any]


class Repository:
    """The repository `image`, such as ``ghcr.io/acme/ml-assets``.

    Requests go without TLS to a registry on this machine, as with Docker, and to any
    other only if `image` begins with ``http://``.
    """

    def __init__(self, image: str, session: RegistrySession | None = None) -> None:
        found = _IMAGE.fullmatch(image)
        host = found["host"] if found else ""
        if found is None or not ("." in host or ":" in host or host == "localhost"):
            raise RegistryRefusedError(
                f"'{image}' is not a repository with its registry, such as"
                " ghcr.io/acme/ml-assets"
            )
        self.host, self.path = host, found["path"]
        base = f"{found['scheme'] or _scheme(host)}://{_api(host)}"
        self.session = session or RegistrySession(base, Credentials.from_environment())

    @property
    def name(self) -> str:
        """As an image of a container names it."""
        return f"{self.host}/{self.path}"

    def tags(self) -> list[str]:
        """Every tag; empty where nothing was pushed yet."""
        found: list[str] = []
        url: str | None = f"/v2/{self.path}/tags/list?n={PAGE}"
        for _ in range(PAGES):
            if url is None:
                return found
            try:
                answer = self.session.get(url)
            except NotInRegistryError:
                return found
            found += self._parse(answer.body, f"tags of {self.name}").get("tags") or []
            url = answer.next_url
        raise RegistryRefusedError(f"{self.name} has more than {PAGE * PAGES:,} tags")

    def manifest(self, reference: str) -> Manifest:
        """The index or manifest that a tag or a digest names.

        Raises
        ------
        NotInRegistryError
            If there is none, as of what is neither tag nor digest.
        RegistryRefusedError
            If the bytes are not those of the digest.
        """
        if not (_TAG.fullmatch(reference) or _DIGEST.fullmatch(reference)):
            raise NotInRegistryError(f"{ascii(reference[:80])} is no tag and no digest")
        answer = self.session.get(f"/v2/{self.path}/manifests/{reference}", ACCEPT)
        actual = _digest(answer.body)
        stated = answer.headers.get("Docker-Content-Digest", actual)
        wanted = reference if _DIGEST.fullmatch(reference) else stated
        if actual != wanted:
            raise RegistryRefusedError(
                f"{self.name}: the manifest of {reference} has the digest {actual},"
                f" expected {wanted}"
            )
        return Manifest(actual, self._parse(answer.body, f"manifest {reference}"))

    def labels(self, manifest: Manifest) -> dict[str, str]:
        """The labels of an image; of an index, those of its image for linux/amd64."""
        content = manifest.content
        if "manifests" in content:
            content = self.manifest(self._of_platform(manifest)).content
        config = content.get("config", {}).get("digest")
        if not isinstance(config, str) or not _DIGEST.fullmatch(config):
            raise RegistryRefusedError(
                f"{self.name}@{manifest.digest} is no image: it has no configuration"
            )
        body = self.blob(config)
        found = self._parse(body, f"configuration {config}").get("config") or {}
        labels = found.get("Labels") or {}
        return {str(name): str(value) for name, value in labels.items()}

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob.

        Raises
        ------
        RegistryRefusedError
            If there is none, or the bytes are not those of the digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise RegistryRefusedError(f"{ascii(digest[:80])} is no digest of a blob")
        body = self.session.get(f"/v2/{self.path}/blobs/{digest}", "*/*").body
        if _digest(body) != digest:
            raise RegistryRefusedError(
                f"{self.name}: the blob {digest} has the digest {_digest(body)}"
            )
        return body

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests that refer to a digest, such as signatures.

        They come from the referrers API (OCI distribution specification 1.1). Where a
        registry does not have it, clients keep them in an index under the tag
        ``sha256-<digits>``, which is read then. Only the first page is read.
        """
        try:
            answer = self.session.get(f"/v2/{self.path}/referrers/{digest}", INDEXES[0])
            content = self._parse(answer.body, f"referrers of {digest}")
        except RegistryRefusedError:
            try:
                content = self.manifest(digest.replace(":", "-")).content
            except NotInRegistryError:
                return []
        listed = content.get("manifests")
        items = listed if isinstance(listed, list) else []
        return [item for item in items if isinstance(item, dict)]

    def _of_platform(self, index: Manifest) -> str:
        """Our platform's image in an index, else the only one that is an image."""
        found: list[str] = []
        for item in index.content["manifests"]:
            platform = item.get("platform") or {}
            # A build adds its attestations as images of an unknown platform.
            if platform.get("os") == "unknown":
                continue
            if (platform.get("os"), platform.get("architecture")) == PLATFORM:
                return str(item["digest"])
            found.append(str(item["digest"]))
        if len(found) != 1:
            raise RegistryRefusedError(
                f"{self.name}@{index.digest} has {len(found)} images, and none of them"
                f" for {'/'.join(PLATFORM)}"
            )
        return found[0]

    def _parse(self, body: bytes, what: str) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except ValueError as error:
            raise RegistryRefusedError(f"{self.name}: {what}: no JSON") from error
        if not isinstance(found, dict):
            raise RegistryRefusedError(f"{self.name}: {what}: not a JSON object")
        return found


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _scheme(host: str) -> str:
    name = host.partition(":")[0]
    return "http" if name == "localhost" or name.startswith("127.") else "https"


def _api(host: str) -> str:
    """Docker Hub's API has another name than its images."""
    return "registry-1.docker.io" if host == "docker.io" else host
