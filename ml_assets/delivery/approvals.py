"""Letting a release into production: who, when and why, once in the ledger."""

from pathlib import Path
from typing import NamedTuple

from ml_assets.delivery.history import PRODUCTION, answer_to, approvals, staging_verdict
from ml_assets.delivery.images import ImageStore, resolve
from ml_assets.delivery.oci import Repository
from ml_assets.delivery.refusals import RefusedError
from ml_assets.delivery.tags import is_version
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger


class Approved(NamedTuple):
    """The entry of an approval, and what staging says of the release so far."""

    entry: Entry
    staging: str


def approve(
    root: Path, repository: Repository, name: str, who: str, why: str
) -> Approved:
    """Let what the tag `name` points at now into production.

    An approval that was not used yet is not made again.

    Raises
    ------
    RefusedError
        If it is no version, or no reason is given.
    UnknownReleaseError, IncompleteError
        If the registry has no such tag, or not all of its images.
    """
    if not is_version(name):
        raise RefusedError(
            f"{name} is no version: only tags such as v1.2.3 go to production"
        )
    if not why.strip():
        raise RefusedError(f"an approval of {name} needs a reason")
    image = resolve(repository, ImageStore(root), name)
    ledger = Ledger(root)
    entries = ledger.entries(RELEASE)
    verdict = staging_verdict(entries, image.digest)
    before = approvals(entries, image.digest)
    if before and answer_to(entries, before[-1]) is None:
        return Approved(before[-1], _told(verdict))
    given = ledger.append(
        RELEASE,
        "approval",
        image.digest,
        None,
        who=who,
        why=why,
        evidence={
            "environment": PRODUCTION,
            "name": name,
            "commit": image.commit,
            "images": image.images,
            "staging": verdict.seq if verdict else None,
        },
        # Of two people who approve at once, one does.
        key=f"approval:{image.digest}:{len(before)}",
    )
    return Approved(given, _told(verdict))


def _told(verdict: Entry | None) -> str:
    if verdict is None:
        return "it has not been through staging yet"
    if verdict.kind == "release_staging":
        return "it passed in staging"
    return f"it failed in staging: {verdict.why}"
