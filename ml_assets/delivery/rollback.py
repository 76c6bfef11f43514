"""The way back: production returns to a release of before."""

from collections.abc import Sequence
from pathlib import Path

from ml_assets.delivery.delivery import Delivered, deliver, digest_in, findings_of
from ml_assets.delivery.environment_session import Order, Place, taken
from ml_assets.delivery.history import PRODUCTION, images_of, in_production
from ml_assets.delivery.images import Image
from ml_assets.delivery.refusals import RefusedError
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE


def roll_back(
    root: Path, who: str, why: str, to: str | None, key: str, run_id: str
) -> Delivered:
    """Deploy a release of before in production again, once per key.

    Neither the registry nor the checks are asked: it ran there, and it may be urgent.

    Parameters
    ----------
    to : str, optional
        Its version or digest; by default the one before today's.

    Raises
    ------
    RefusedError
        If there is none.
    """
    with taken(root, PRODUCTION) as place:
        known = place.ledger.find(RELEASE, key)
        if known is not None:
            return Delivered(known, findings_of(known.evidence))
        image = _destination(place, to)
        order = Order(image, "rollback", key, who, why, run_id)
        return deliver(place, order, lambda site: [])


def _destination(place: Place, to: str | None) -> Image:
    entries = place.entries()
    stack = in_production(entries)
    if not stack:
        raise RefusedError("no release was deployed in production yet")
    if to is not None:
        return _named(entries, stack[-1], to)
    if len(stack) > 1:
        return _image(stack[-2])
    if stack[0].kind != "release_production":
        raise RefusedError(f"there is no release before {stack[0].evidence['name']}")
    return _before(place, stack[0])


def _named(entries: Sequence[Entry], current: Entry, to: str) -> Image:
    released = [entry for entry in entries if entry.kind == "release_production"]
    found = [e for e in released if to in (e.evidence["name"], e.version)]
    if not found:
        names = dict.fromkeys(str(entry.evidence["name"]) for entry in released)
        raise RefusedError(
            f"{to} was never in production; there were: {', '.join(names)}"
        )
    if found[-1].version == current.version:
        raise RefusedError(f"{to} is the release that is in production")
    return _image(found[-1])


def _image(entry: Entry) -> Image:
    return Image(
        digest=entry.version,
        name=str(entry.evidence["name"]),
        images=images_of(entry),
        commit=str(entry.evidence["commit"]),
    )


def _before(place: Place, first: Entry) -> Image:
    """What ran before the first release came: nobody knows more than its images."""
    images: dict[str, str] = {**first.evidence["before"]}
    base = images.pop(place.settings.deployment)
    server = next(iter(images.values()), "")
    return Image(
        digest=digest_in(base),
        name=digest_in(base),
        images={"base": base, "production": server},
        commit="",
    )
