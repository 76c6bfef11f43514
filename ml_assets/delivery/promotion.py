"""A release into staging, into production, and production back to an earlier one."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ml_assets.delivery import checks
from ml_assets.delivery.candidates import production_candidate
from ml_assets.delivery.decision import decide
from ml_assets.delivery.deploy import (
    DeliveryResult,
    deploy,
    digest_in,
    results_in,
    revert_unfinished,
)
from ml_assets.delivery.environment_session import (
    DeliveryRequest,
    EnvironmentSession,
    acquire,
)
from ml_assets.delivery.errors import AlreadyDoneError, RefusedError
from ml_assets.delivery.image_signatures import UnverifiedImageError, verify_release
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.release_ledger import (
    PRODUCTION,
    STAGING,
    Environment,
    images_of,
    production_entries,
    production_key,
    production_stack,
    staging_verdicts,
)
from ml_assets.delivery.releases import Release, Releases
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE


class Refusal(NamedTuple):
    """A release that may not run in an environment, and why."""

    environment: Environment
    digest: str
    name: str
    why: str


def stage(
    registry: Repository, release: Release, who: str, run_id: str, again: bool = False
) -> DeliveryResult:
    """Deploy a release in staging and check it; else what ran before runs again.

    Its images are verified first: what is not signed as it must be changes nothing.

    Parameters
    ----------
    again : bool, default=False
        Try one once more that failed, because something else was the cause.

    Raises
    ------
    AlreadyDoneError
        If it passed before, or it failed before and is not to be tried again.
    RefusedError
        If its images are not signed as they must be; the ledger has the reason.
    """
    with acquire(STAGING) as session:
        verdicts = staging_verdicts(release.digest)
        if verdicts and not (again and verdicts[-1].kind != "release_staging"):
            raise AlreadyDoneError(
                f"{release.name} ({release.short}) was tried in staging, entry"
                f" {verdicts[-1].seq}: {verdicts[-1].why}",
                verdicts[-1],
            )
        key = f"{STAGING}:{release.digest}:{len(verdicts)}"
        try:
            signed = verify_release(registry, release)
        except UnverifiedImageError as error:
            refusal = Refusal(STAGING, release.digest, release.name, str(error))
            _refuse(session, refusal, who, key)
            raise
        why = f"{release.name} points at it; commit {release.commit[:12]}; {signed}"
        request = DeliveryRequest(release, "release", key, who, why, run_id)
        return deploy(session, request, checks.run)


def promote(
    registry: Repository, name: str | None, who: str, run_id: str
) -> DeliveryResult:
    """Deploy a version in production, if it may be; else write a refusal down.

    Parameters
    ----------
    name : str, optional
        The version; by default that of the last approval.

    Raises
    ------
    AlreadyDoneError
        If it is there, or its approval was used.
    RefusedError
        If it may not, or not yet; the ledger has the reason.
    """
    with acquire(PRODUCTION) as session:
        candidate = production_candidate(registry, name)
        facts, decision = candidate.facts, decide(candidate.facts)
        if decision.verdict == "done":
            raise AlreadyDoneError(decision.reason, candidate.used_by)
        approval = candidate.approval
        # Of refusals that do not use the approval each run has one.
        key = f"refusal:{run_id}"
        if approval is not None and decision.verdict in ("go", "refuse"):
            key = production_key(approval)
        refusal = Refusal(PRODUCTION, facts.digest, facts.name, decision.reason)
        if decision.verdict != "go" or approval is None:
            _refuse(session, refusal, who, key)
            raise RefusedError(decision.reason)
        seen = Releases().get(facts.digest)
        release = msgspec.structs.replace(seen, name=facts.name)
        try:
            signed = verify_release(registry, release)
        except UnverifiedImageError as error:
            _refuse(session, refusal._replace(why=str(error)), who, key)
            raise
        why = f"{decision.reason}; {signed}"
        request = DeliveryRequest(release, "release", key, who, why, run_id)
        return deploy(session, request, checks.run)


def roll_back(
    who: str, why: str, to: str | None, key: str, run_id: str
) -> DeliveryResult:
    """Deploy an earlier release in production again, once per key.

    Neither the registry nor the checks are asked: it ran there, and it may be urgent.

    Parameters
    ----------
    to : str, optional
        Its version or digest; by default the one before the current.

    Raises
    ------
    RefusedError
        If there is none.
    """
    with acquire(PRODUCTION) as session:
        known = session.ledger.find(RELEASE, key)
        if known is not None:
            return DeliveryResult(known, results_in(known.evidence))
        release = _destination(session, to)
        request = DeliveryRequest(release, "rollback", key, who, why, run_id)
        return deploy(session, request, lambda context: [])


def _refuse(session: EnvironmentSession, refusal: Refusal, who: str, key: str) -> None:
    """Write a refusal down; with the key of an attempt it takes the attempt's place."""
    unfinished = session.attempts.unfinished()
    if unfinished is not None and unfinished.key == key:
        # A run died in the middle, and meanwhile it may not go on.
        revert_unfinished(session)
    session.ledger.append(
        RELEASE,
        "refusal",
        refusal.digest or refusal.name,
        None,
        who=who,
        why=refusal.why,
        evidence={"environment": refusal.environment, "name": refusal.name},
        key=key,
    )


def _destination(session: EnvironmentSession, to: str | None) -> Release:
    """The release that a rollback deploys."""
    entries = production_entries()
    stack = production_stack(entries)
    if not stack:
        raise RefusedError("no release was deployed in production yet")
    if to is not None:
        return _named(entries, stack[-1], to)
    if len(stack) > 1:
        return _release(stack[-2])
    if stack[0].kind != "release_production":
        raise RefusedError(f"there is no release before {stack[0].evidence['name']}")
    return _before(session, stack[0])


def _named(entries: Sequence[Entry], current: Entry, to: str) -> Release:
    deployed = [entry for entry in entries if entry.kind == "release_production"]
    found = [e for e in deployed if to in (e.evidence["name"], e.version)]
    if not found:
        names = dict.fromkeys(str(entry.evidence["name"]) for entry in deployed)
        raise RefusedError(
            f"{to} was never in production; there were: {', '.join(names)}"
        )
    if found[-1].version == current.version:
        raise RefusedError(f"{to} is the release that is in production")
    return _release(found[-1])


def _release(entry: Entry) -> Release:
    return Release(
        digest=entry.version,
        name=str(entry.evidence["name"]),
        images=images_of(entry),
        commit=str(entry.evidence["commit"]),
    )


def _before(session: EnvironmentSession, first: Entry) -> Release:
    """What ran before the first release, of which only the images are known."""
    images: dict[str, str] = {**first.evidence["before"]}
    base = images.pop(session.settings.deployment)
    server = next(iter(images.values()), "")
    return Release(
        digest=digest_in(base),
        name=digest_in(base),
        images={"base": base, "production": server},
        commit="",
    )
