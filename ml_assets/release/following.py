"""What the sensors look at: new images in the registry, and approvals to be used."""

from typing import NamedTuple

from ml_assets.ledger import RELEASE, Ledger
from ml_assets.release import tags
from ml_assets.release.decision import decide
from ml_assets.release.environments import SettingsError, image_repository
from ml_assets.release.history import production_key, staging_verdict
from ml_assets.release.images import (
    Image,
    ImageStore,
    IncompleteError,
    UnknownReleaseError,
    resolve,
)
from ml_assets.release.oci import Repository
from ml_assets.release.oci_http import RegistryRefusedError, RegistryUnavailableError
from ml_assets.release.production import ask
from ml_assets.release.refusals import DoneError
from ml_assets.release.registry import OFF, repository
from ml_assets.storage import storage_root


class Seen(NamedTuple):
    """What the registry has.

    Attributes
    ----------
    moved : dict of str to Image
        Names that point at another release than at the last look.
    untried : Image or None
        A release that staging has said nothing of.
    problem : str or None
        Why the registry was not looked at.
    """

    moved: dict[str, Image]
    untried: Image | None
    problem: str | None = None


class Open(NamedTuple):
    """An approval that something is to follow, and the key of what does."""

    key: str


def look() -> Seen:
    """Look at main and the newest version in the registry; remember what was seen."""
    if image_repository() is None:
        return Seen({}, None, OFF)
    try:
        return _look(repository())
    except (IncompleteError, RegistryRefusedError, RegistryUnavailableError) as error:
        return Seen({}, None, str(error))


def _look(found: Repository) -> Seen:
    root = storage_root()
    store = ImageStore(root)
    before = store.heads()
    newest = tags.newest_version(found.tags())
    images: dict[str, Image] = {}
    for name in filter(None, (tags.MAIN, newest)):
        try:
            images[name] = resolve(found, store, name)
        except UnknownReleaseError:
            continue
    entries = Ledger(root).entries(RELEASE)
    untried = [
        image
        for image in images.values()
        if staging_verdict(entries, image.digest) is None
    ]
    store.save_heads({name: image.digest for name, image in images.items()})
    moved = {
        name: image
        for name, image in images.items()
        if before.get(name) != image.digest
    }
    return Seen(moved, untried[0] if untried else None)


def open_approval() -> Open | str:
    """The approval to be used now, or why there is none."""
    if image_repository() is None:
        return OFF
    try:
        asked = ask(storage_root(), repository(), None)
    except (
        DoneError,
        IncompleteError,
        RegistryRefusedError,
        RegistryUnavailableError,
        SettingsError,
    ) as error:
        return str(error)
    decision = decide(asked.facts)
    if asked.given is None or decision.verdict in ("done", "wait"):
        return decision.reason
    # A refusal is written down by a run, too.
    return Open(production_key(asked.given))
