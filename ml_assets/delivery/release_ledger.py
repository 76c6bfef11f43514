"""The ledger of releases: staging's verdicts, approvals, and what is in production.

Releases have one ledger, under the name ``release``. The version of an entry is the
digest of the code location's image.

====================== =======================================================
kind                   what happened
====================== =======================================================
``release_staging``    the release runs in staging and passed its checks there
``release_failure``    it failed, and the environment is back where it was;
                       ``evidence.environment`` names it
``approval``           a person lets the digest into production
``refusal``            it was asked for and refused, in the environment that
                       ``evidence.environment`` names
``release_production`` it runs in production and passed its checks there
``rollback``           production returned to an earlier release
====================== =======================================================

An approval that was followed by no entry with its `production_key` is not used yet.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger

Environment = Literal["staging", "production"]

STAGING: Final = "staging"
PRODUCTION: Final = "production"


def staging_verdicts(digest: str) -> list[Entry]:
    """The entries with the outcome of a release in staging, oldest first."""
    kinds = ("release_staging", "release_failure", "refusal")
    found = Ledger().entries(RELEASE, kinds, version=digest)
    return [
        entry
        for entry in found
        if entry.kind == "release_staging"
        or entry.evidence.get("environment") == STAGING
    ]


def staging_verdict(digest: str) -> Entry | None:
    """The last of its verdicts, which counts."""
    return next(reversed(staging_verdicts(digest)), None)


def approvals(digest: str | None = None) -> list[Entry]:
    """The approvals of this release, or of any, oldest first."""
    return Ledger().entries(RELEASE, ("approval",), version=digest)


def last_approval(digest: str | None = None) -> Entry | None:
    """The last approval, of this release or of any."""
    return Ledger().last(RELEASE, ("approval",), digest)


def production_key(approval: Entry) -> str:
    """The key of what an approval leads to: it is used once."""
    return f"{PRODUCTION}:{approval.version}:{approval.seq}"


def use_of(approval: Entry) -> Entry | None:
    """The entry that used an approval: production, a failure there, or a refusal."""
    return Ledger().find(RELEASE, production_key(approval))


def production_entries() -> list[Entry]:
    """Every deployment in production and every rollback, oldest first."""
    return Ledger().entries(RELEASE, ("release_production", "rollback"))


def production_stack(entries: Sequence[Entry]) -> list[Entry]:
    """The releases of production to which a rollback may return, the current one last.

    A deployment comes on top; a rollback takes away what is above the release that it
    returned to, so that two rollbacks go two releases back.
    """
    stack: list[Entry] = []
    for entry in entries:
        if entry.kind == "release_production":
            stack.append(entry)
        elif entry.kind == "rollback":
            while stack and stack[-1].version != entry.version:
                stack.pop()
            # It went below the first release, or to one that was taken away before.
            if not stack:
                stack.append(entry)
    return stack


def images_of(entry: Entry) -> dict[str, str]:
    """Target to image of an entry that deployed a release."""
    found: dict[str, Any] = entry.evidence.get("images", {})
    return {str(target): str(image) for target, image in found.items()}
