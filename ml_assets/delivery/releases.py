"""Releases: the images of one commit, as they were seen in the registry.

One is kept under the digest of the code location's image, by which everything else
names it, and never changes.
"""

import msgspec
from sqlalchemy import Connection, delete, select

from ml_assets.core.decoding import from_json
from ml_assets.delivery import image_tags
from ml_assets.delivery.errors import ReleaseError
from ml_assets.delivery.oci_repository import Manifest, Repository
from ml_assets.delivery.oci_session import NotInRegistryError
from ml_assets.records.plan import encode
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import read_rows
from ml_assets.state.schema import release_tags, releases

COMMIT = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
# What an environment runs; the exporter belongs to the chart.
DEPLOYED = (image_tags.CODE_LOCATION, image_tags.MODEL_SERVER)


class IncompleteError(ReleaseError):
    """The images of a name are not those of one commit: a push may be under way."""


class UnknownReleaseError(ReleaseError):
    """No such tag, or a digest that was never seen."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One release, which is the images of one commit.

    Attributes
    ----------
    digest : str
        Of the code location's image; it names the release.
    name : str
        The tag under which it was seen first, such as ``main``.
    images : dict of str to str
        Target to the image by digest, as a container names it.
    """

    digest: str
    name: str
    images: dict[str, str]
    commit: str
    version: str = ""
    created: str = ""

    @property
    def short(self) -> str:
        """The first digits of the digest, for people."""
        return self.digest.removeprefix("sha256:")[:12]


class Releases:
    """The releases that were seen."""

    def find(self, digest: str) -> Release | None:
        """The release of this digest, if it was seen."""
        with reading() as connection:
            return _find(connection, digest)

    def get(self, digest: str) -> Release:
        """The release of this digest.

        Raises
        ------
        UnknownReleaseError
            If it was never seen in the registry.
        """
        found = self.find(digest)
        if found is None:
            raise UnknownReleaseError(f"{digest} was not seen in the registry yet")
        return found

    def save(self, release: Release) -> Release:
        """Keep a release; the one that is kept already stays."""
        row = {"digest": release.digest, "release": encode(release).decode()}
        with writing(RELEASE) as connection:
            known = _find(connection, release.digest)
            if known is None:
                connection.execute(releases.insert().values(row))
        return known or release

    def polled(self) -> dict[str, str]:
        """Name to digest, of the names that are polled, as of the last poll."""
        return {row.name: row.digest for row in read_rows(select(release_tags))}

    def save_polled(self, digests: dict[str, str]) -> None:
        """Keep what the names point at now."""
        if digests == self.polled():
            return
        rows = [{"name": name, "digest": found} for name, found in digests.items()]
        with writing(RELEASE) as connection:
            connection.execute(delete(release_tags))
            if rows:
                connection.execute(release_tags.insert(), rows)


def _find(connection: Connection, digest: str) -> Release | None:
    found = connection.scalar(
        select(releases.c.release).where(releases.c.digest == digest)
    )
    return None if found is None else from_json(found, Release)


def find(repository: Repository, release: str) -> Release:
    """The release of a name in the registry, or of a digest that was seen.

    Raises
    ------
    UnknownReleaseError, IncompleteError
        As `resolve`; of a digest, if it was never seen.
    """
    if release.startswith("sha256:"):
        return Releases().get(release)
    return resolve(repository, release)


def resolve(repository: Repository, name: str) -> Release:
    """The release that `name` (``main``, ``v1.2.3``) points at now.

    Labels are read from the registry only when the digest is new.

    Raises
    ------
    UnknownReleaseError
        If there is no such tag.
    IncompleteError
        If one of the images is missing or of another commit, or names no commit.
    """
    base = _manifest(repository, name, image_tags.CODE_LOCATION)
    if base is None:
        wanted = " or ".join(image_tags.spellings(name, image_tags.CODE_LOCATION))
        raise UnknownReleaseError(f"{repository.name} has no tag {wanted}")
    known = Releases().find(base.digest)
    if known is not None:
        return known
    labels = {image_tags.CODE_LOCATION: repository.labels(base)}
    images = {image_tags.CODE_LOCATION: f"{repository.name}@{base.digest}"}
    for target in DEPLOYED[1:]:
        found = _manifest(repository, name, target)
        if found is None:
            raise IncompleteError(
                f"{name} has the image {image_tags.CODE_LOCATION} and no"
                f" {name}-{target}"
            )
        labels[target] = repository.labels(found)
        images[target] = f"{repository.name}@{found.digest}"
    return Releases().save(
        Release(
            digest=base.digest,
            name=name,
            images=images,
            commit=_commit(name, labels),
            version=labels[image_tags.CODE_LOCATION].get(VERSION, ""),
            created=labels[image_tags.CODE_LOCATION].get(CREATED, ""),
        )
    )


def _manifest(repository: Repository, name: str, target: str) -> Manifest | None:
    for tag in image_tags.spellings(name, target):
        try:
            return repository.manifest(tag)
        except NotInRegistryError:
            continue
    return None


def _commit(name: str, labels: dict[str, dict[str, str]]) -> str:
    """The commit that all images name."""
    commits = {target: found.get(COMMIT, "") for target, found in labels.items()}
    if len(set(commits.values())) > 1:
        listed = ", ".join(f"{target} of {c[:12]}" for target, c in commits.items())
        raise IncompleteError(f"the images of {name} are not of one commit: {listed}")
    commit = commits[image_tags.CODE_LOCATION]
    if not commit:
        raise IncompleteError(f"the images of {name} have no label {COMMIT}")
    return commit
