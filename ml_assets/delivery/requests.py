"""What the sensors look at: new images in the registry, and approvals to be used."""

from typing import NamedTuple

from ml_assets.core.storage import storage_root
from ml_assets.delivery import tags
from ml_assets.delivery.decision import decide
from ml_assets.delivery.environments import image_repository
from ml_assets.delivery.history import (
    answer_to,
    approval,
    production_key,
    staging_verdict,
)
from ml_assets.delivery.images import Image, ImageStore, UnknownReleaseError, resolve
from ml_assets.delivery.oci import Repository
from ml_assets.delivery.production import ask
from ml_assets.delivery.refusals import DoneError, ReleaseError
from ml_assets.delivery.registry import OFF, repository
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger


class Seen(NamedTuple):
    """What the registry has.

    Attributes
    ----------
    moved : dict of str to Image
        Names that point at another release than at the last look.
    untried : list of Image
        Releases that staging has said nothing of.
    problem : str or None
        Why the registry was not looked at.
    """

    moved: dict[str, Image]
    untried: list[Image]
    problem: str | None = None


class OpenApproval(NamedTuple):
    """An approval that is to be used, by the key of what follows from it."""

    key: str


def look() -> Seen:
    """Look at main and the newest version in the registry; remember what was seen."""
    if image_repository() is None:
        return Seen({}, [], OFF)
    try:
        return _look(repository())
    except ReleaseError as error:
        return Seen({}, [], str(error))


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
    candidates = {image.digest: image for image in images.values()}
    given = approval(entries)
    # An older version may be approved, too, which no name that is followed leads to.
    if given is not None and answer_to(entries, given) is None:
        approved = store.find(given.version)
        candidates |= {approved.digest: approved} if approved else {}
    untried = [
        image
        for digest, image in candidates.items()
        if staging_verdict(entries, digest) is None
    ]
    store.save_heads({name: image.digest for name, image in images.items()})
    moved = {
        name: image
        for name, image in images.items()
        if before.get(name) != image.digest
    }
    return Seen(moved, untried)


def open_approval() -> OpenApproval | str:
    """What an approval leads to now, or why there is nothing."""
    if image_repository() is None:
        return OFF
    try:
        asked = ask(storage_root(), repository(), None)
    except (DoneError, ReleaseError) as error:
        return str(error)
    decision = decide(asked.facts)
    if asked.given is None or decision.verdict in ("done", "wait"):
        return decision.reason
    # A refusal is written down by a run, too.
    return OpenApproval(production_key(asked.given))
