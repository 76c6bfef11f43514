"""Letting a release into production: who, when and why, once in the ledger."""

import re
from typing import NamedTuple

from ml_assets.delivery.errors import RefusedError
from ml_assets.delivery.image_tags import is_version
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.release_ledger import (
    PRODUCTION,
    approvals,
    staging_verdict,
    use_of,
)
from ml_assets.delivery.releases import resolve
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger

# Accounts that no person has of their own; a container's user has a number only.
_SHARED = re.compile(
    r"|root|admin|administrator|anonymous|nobody|unknown|none|dagster|user|uid \d+"
)


class Approved(NamedTuple):
    """The entry of an approval, and the outcome of the release in staging so far."""

    entry: Entry
    staging: str


def approve(repository: Repository, name: str, who: str, why: str) -> Approved:
    """Let what the tag `name` points at now into production.

    An approval that was not used yet is not made again. `who` is ``user`` and the name
    of a person, as `ml_assets.cli.context.who` makes it.

    Raises
    ------
    RefusedError
        If it is no version, no reason is given, or `who` names no person.
    UnknownReleaseError, IncompleteError
        If the registry has no such tag, or not all of its images.
    """
    if not is_version(name):
        raise RefusedError(
            f"{name} is no version: only tags such as v1.2.3 go to production"
        )
    if not why.strip():
        raise RefusedError(f"an approval of {name} needs a reason")
    person = who.removeprefix("user ").partition(", run ")[0].strip()
    if _SHARED.fullmatch(person.lower()):
        raise RefusedError(
            f"an approval of {name} needs the name of a person, found '{person}': name"
            " one with `--who` or in the launchpad"
        )
    release = resolve(repository, name)
    verdict, before = staging_verdict(release.digest), approvals(release.digest)
    if before and use_of(before[-1]) is None:
        return Approved(before[-1], _outcome(verdict))
    entry = Ledger().append(
        RELEASE,
        "approval",
        release.digest,
        None,
        who=who,
        why=why,
        evidence={
            "environment": PRODUCTION,
            "name": name,
            "commit": release.commit,
            "images": release.images,
            "staging": verdict.seq if verdict else None,
        },
        # Of two people who approve at once, one does.
        key=f"approval:{release.digest}:{len(before)}",
    )
    return Approved(entry, _outcome(verdict))


def _outcome(verdict: Entry | None) -> str:
    if verdict is None:
        return "it has not been through staging yet"
    if verdict.kind == "release_staging":
        return "it passed in staging"
    return f"it failed in staging: {verdict.why}"
