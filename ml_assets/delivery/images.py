"""The images of one commit, as they were seen in the registry.

``releases/images/<digest>.json`` keeps them under the digest of the code location's
image, by which everything else names a release; it is written once.
``releases/heads.json`` says what the tags that are followed pointed at last.
"""

from pathlib import Path

import msgspec

from ml_assets.core.storage import below, create_bytes, read_json, write_json
from ml_assets.delivery import tags
from ml_assets.delivery.oci import Manifest, Repository
from ml_assets.delivery.oci_http import NotInRegistryError
from ml_assets.delivery.refusals import ReleaseError
from ml_assets.records.plan import encode

COMMIT = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
# What an environment runs; the exporter belongs to the chart.
DEPLOYED = (tags.CODE_LOCATION, tags.MODEL_SERVER)


class IncompleteError(ReleaseError):
    """The images of a name are not those of one commit: a push may be under way."""


class UnknownReleaseError(ReleaseError):
    """No such tag, or a digest that was never seen."""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The images that one commit made.

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
        """The digest as people say it."""
        return self.digest.removeprefix("sha256:")[:12]


class ImageStore:
    """The images that were seen, under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root / "releases"

    def path(self, digest: str) -> Path:
        """File of one release."""
        name = f"{digest.removeprefix('sha256:')}.json"
        return below(self.root / "images", name)

    def find(self, digest: str) -> Image | None:
        """The release of this digest, if it was seen."""
        try:
            return msgspec.json.decode(self.path(digest).read_bytes(), type=Image)
        except FileNotFoundError:
            return None

    def get(self, digest: str) -> Image:
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

    def save(self, image: Image) -> Image:
        """Keep a release; the one that is kept already stays."""
        create_bytes(self.path(image.digest), encode(image))
        return self.get(image.digest)

    def heads(self) -> dict[str, str]:
        """Name to digest, of the names that are followed."""
        found: dict[str, str] = read_json(self.root / "heads.json") or {}
        return found

    def save_heads(self, heads: dict[str, str]) -> None:
        """Remember what the names point at now."""
        if heads != self.heads():
            write_json(self.root / "heads.json", heads)


def find(repository: Repository, store: ImageStore, release: str) -> Image:
    """The release that a name in the registry, or a digest that was seen, means.

    Raises
    ------
    UnknownReleaseError, IncompleteError
        As `resolve`; of a digest, if it was never seen.
    """
    if release.startswith("sha256:"):
        return store.get(release)
    return resolve(repository, store, release)


def resolve(repository: Repository, store: ImageStore, name: str) -> Image:
    """The release that `name` (``main``, ``v1.2.3``) points at now.

    The registry is asked for labels only when the digest is new.

    Raises
    ------
    UnknownReleaseError
        If there is no such tag.
    IncompleteError
        If one of the images is missing or of another commit, or names no commit.
    """
    base = _manifest(repository, name, tags.CODE_LOCATION)
    if base is None:
        wanted = " or ".join(tags.spellings(name, tags.CODE_LOCATION))
        raise UnknownReleaseError(f"{repository.name} has no tag {wanted}")
    known = store.find(base.digest)
    if known is not None:
        return known
    labels = {tags.CODE_LOCATION: repository.labels(base)}
    images = {tags.CODE_LOCATION: f"{repository.name}@{base.digest}"}
    for target in DEPLOYED[1:]:
        found = _manifest(repository, name, target)
        if found is None:
            raise IncompleteError(
                f"{name} has the image {tags.CODE_LOCATION} and no {name}-{target}"
            )
        labels[target] = repository.labels(found)
        images[target] = f"{repository.name}@{found.digest}"
    return store.save(
        Image(
            digest=base.digest,
            name=name,
            images=images,
            commit=_commit(name, labels),
            version=labels[tags.CODE_LOCATION].get(VERSION, ""),
            created=labels[tags.CODE_LOCATION].get(CREATED, ""),
        )
    )


def _manifest(repository: Repository, name: str, target: str) -> Manifest | None:
    for tag in tags.spellings(name, target):
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
    commit = commits[tags.CODE_LOCATION]
    if not commit:
        raise IncompleteError(f"the images of {name} have no label {COMMIT}")
    return commit
