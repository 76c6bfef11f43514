"""A release on its way into production, once for each approval."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from ml_assets.delivery import checks
from ml_assets.delivery.decision import Facts, decide
from ml_assets.delivery.delivery import Delivered, abandon, deliver
from ml_assets.delivery.environment_session import Order, taken
from ml_assets.delivery.history import (
    PRODUCTION,
    answer_to,
    approval,
    in_production,
    production_key,
    staging_verdict,
)
from ml_assets.delivery.images import ImageStore, UnknownReleaseError, resolve
from ml_assets.delivery.oci import Repository
from ml_assets.delivery.refusals import DoneError, RefusedError
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger


class Asked(NamedTuple):
    """What is known of a release, the approval that it has, and what came of that."""

    facts: Facts
    given: Entry | None
    answer: Entry | None


def promote(
    root: Path, repository: Repository, name: str | None, who: str, run_id: str
) -> Delivered:
    """Deploy a version in production, if it may be; else say so in the ledger.

    Parameters
    ----------
    name : str, optional
        The version; by default that of the last approval.

    Raises
    ------
    DoneError
        If it is there, or its approval was used.
    RefusedError
        If it may not, or not yet; the ledger has the reason.
    """
    with taken(root, PRODUCTION) as place:
        asked = ask(root, repository, name)
        facts, decision = asked.facts, decide(asked.facts)
        if decision.verdict == "done":
            raise DoneError(decision.reason, asked.answer)
        if decision.verdict != "go" or asked.given is None:
            is_final = decision.verdict == "refuse"
            key = production_key(asked.given) if asked.given and is_final else None
            begun = place.unended()
            if begun is not None and begun.key == key:
                # A run died in the middle, and meanwhile it may not go on.
                abandon(place)
            place.ledger.append(
                RELEASE,
                "refusal",
                facts.digest or facts.name,
                None,
                who=who,
                why=decision.reason,
                evidence={"environment": PRODUCTION, "name": facts.name},
                # One that is final uses the approval up; of others each run has one.
                key=key or f"refusal:{run_id}",
            )
            raise RefusedError(decision.reason)
        seen = ImageStore(root).get(facts.digest)
        order = Order(
            image=msgspec.structs.replace(seen, name=facts.name),
            purpose="release",
            key=production_key(asked.given),
            who=who,
            why=decision.reason,
            run_id=run_id,
        )
        return deliver(place, order, checks.run)


def ask(root: Path, repository: Repository, name: str | None) -> Asked:
    """What the ledger and the registry say of a version.

    Raises
    ------
    DoneError
        If no version is named, and none was ever approved.
    """
    ledger, store = Ledger(root), ImageStore(root)
    entries = ledger.entries(RELEASE)
    if name is None:
        given = approval(entries)
        if given is None:
            raise DoneError("nothing was approved yet")
        name, digest = str(given.evidence["name"]), given.version
        points_at = _points_at(repository, store, name)
    else:
        points_at = _points_at(repository, store, name)
        digest = points_at or ""
        given = approval(entries, digest)
    verdict = staging_verdict(entries, digest)
    answer = answer_to(entries, given) if given else None
    facts = Facts(
        name=name,
        digest=digest,
        points_at=points_at,
        staging=None if verdict is None else verdict.kind == "release_staging",
        staging_reason=verdict.why if verdict else "",
        approved_by=given.who if given else None,
        answered=f"{answer.kind}, entry {answer.seq}" if answer else None,
        current=_current(entries),
        ledger_problems=tuple(item.message for item in ledger.verify(RELEASE)),
    )
    return Asked(facts, given, answer)


def _points_at(repository: Repository, store: ImageStore, name: str) -> str | None:
    try:
        return resolve(repository, store, name).digest
    except UnknownReleaseError:
        return None


def _current(entries: list[Entry]) -> str | None:
    stack = in_production(entries)
    return stack[-1].version if stack else None
