"""Releases that may go on: new ones for staging, and versions for production."""

from typing import NamedTuple

from ml_assets.delivery import image_tags
from ml_assets.delivery.decision import Facts, decide
from ml_assets.delivery.environments import repository
from ml_assets.delivery.errors import AlreadyDoneError, ReleaseError
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.release_ledger import (
    last_approval,
    production_entries,
    production_key,
    production_stack,
    staging_verdict,
    use_of,
)
from ml_assets.delivery.releases import (
    Release,
    Releases,
    UnknownReleaseError,
    resolve,
)
from ml_assets.delivery.signer import configured_signer
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger


class RegistryPoll(NamedTuple):
    """What the registry has.

    Attributes
    ----------
    moved : dict of str to Release
        Names that point at another release than at the last poll.
    untried : list of Release
        Releases without a verdict of staging.
    problem : str or None
        Why the registry was not polled.
    """

    moved: dict[str, Release]
    untried: list[Release]
    problem: str | None = None


class OpenApproval(NamedTuple):
    """An approval that is to be used, by the key of what follows from it."""

    key: str


class ProductionCandidate(NamedTuple):
    """The facts on a version, its approval, and the entry that used the approval."""

    facts: Facts
    approval: Entry | None
    used_by: Entry | None


def poll_registry() -> RegistryPoll:
    """Read main and the newest version from the registry; keep what they point at."""
    try:
        return _poll(repository())
    except ReleaseError as error:
        return RegistryPoll({}, [], str(error))


def _poll(registry: Repository) -> RegistryPoll:
    # Without it every run would fail.
    configured_signer(registry)
    store = Releases()
    before = store.polled()
    newest = image_tags.newest_version(registry.tags())
    found: dict[str, Release] = {}
    for name in filter(None, (image_tags.MAIN, newest)):
        try:
            found[name] = resolve(registry, name)
        except UnknownReleaseError:
            continue
    moved = {
        name: release
        for name, release in found.items()
        if before.get(name) != release.digest
    }
    untried = _untried(store, found)
    store.save_polled({name: release.digest for name, release in found.items()})
    return RegistryPoll(moved, untried)


def _untried(store: Releases, polled: dict[str, Release]) -> list[Release]:
    candidates = {release.digest: release for release in polled.values()}
    approval = last_approval()
    # An older version may be approved, too, to which no name that is polled points.
    if approval is not None and use_of(approval) is None:
        approved = store.find(approval.version)
        candidates |= {approved.digest: approved} if approved else {}
    return [
        release
        for digest, release in candidates.items()
        if staging_verdict(digest) is None
    ]


def open_approval() -> OpenApproval | str:
    """What an approval leads to now, or why there is nothing."""
    try:
        registry = repository()
        configured_signer(registry)
        candidate = production_candidate(registry, None)
    except (AlreadyDoneError, ReleaseError) as error:
        return str(error)
    decision = decide(candidate.facts)
    if candidate.approval is None or decision.verdict in ("done", "wait"):
        return decision.reason
    # A refusal is written down by a run, too.
    return OpenApproval(production_key(candidate.approval))


def production_candidate(registry: Repository, name: str | None) -> ProductionCandidate:
    """What the ledger and the registry have on a version.

    Parameters
    ----------
    name : str, optional
        The version; by default that of the last approval.

    Raises
    ------
    AlreadyDoneError
        If no version is named, and none was ever approved.
    """
    if name is None:
        approval = last_approval()
        if approval is None:
            raise AlreadyDoneError("nothing was approved yet")
        name, digest = str(approval.evidence["name"]), approval.version
        points_at = _points_at(registry, name)
    else:
        points_at = _points_at(registry, name)
        digest = points_at or ""
        approval = last_approval(digest)
    verdict = staging_verdict(digest)
    used_by = use_of(approval) if approval else None
    stack = production_stack(production_entries())
    stop = Ledger().held(RELEASE).get(digest)
    facts = Facts(
        name=name,
        digest=digest,
        points_at=points_at,
        staging=None if verdict is None else verdict.kind == "release_staging",
        staging_reason=verdict.why if verdict else "",
        approved_by=approval.who if approval else None,
        used_by=f"{used_by.kind}, entry {used_by.seq}" if used_by else None,
        current=stack[-1].version if stack else None,
        ledger_problems=() if used_by else _ledger_problems(),
        stopped_by=f"{stop.kind}, entry {stop.seq}" if stop else None,
    )
    return ProductionCandidate(facts, approval, used_by)


def _ledger_problems() -> tuple[str, ...]:
    return tuple(item.message for item in Ledger().verify(RELEASE))


def _points_at(registry: Repository, name: str) -> str | None:
    try:
        return resolve(registry, name).digest
    except UnknownReleaseError:
        return None
