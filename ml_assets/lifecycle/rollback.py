"""Return to a version that served before.

A rollback needs the plans and the bundle in the storage and nothing else: with the
registry down it is done all the same, and the registry's aliases are set later.
"""

from typing import Any, NamedTuple

from ml_assets.core.digests import BundleError
from ml_assets.lifecycle.activation import activate, evidence_of, repeat
from ml_assets.lifecycle.aliases import try_sync_aliases
from ml_assets.lifecycle.plan_transitions import live_plan, previous_version
from ml_assets.records.plan import ServingPlan
from ml_assets.records.signature import incompatibilities, summary
from ml_assets.records.version import VersionRecord
from ml_assets.state.bundles import signature_of_version, store_bundle
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import RegistryError
from ml_assets.state.versions import UnknownVersionError, Versions
from ml_assets.targets import Rollout, Target


class RollbackError(Exception):
    """There is nothing to return to, or it may not serve; nothing changed."""


class RolledBack(NamedTuple):
    """What a rollback did.

    ``left`` is the version that served before, ``is_on_hold`` whether it is on hold
    now. ``warning`` names aliases that are still to be set, and requests that are
    answered otherwise now, if any.
    """

    rollout: Rollout
    left: str
    is_on_hold: bool
    warning: str


def rollback(
    target: Target,
    model: str,
    who: str,
    why: str,
    to: str | None = None,
    key: str | None = None,
    evidence: dict[str, Any] | None = None,
    run_id: str | None = None,
) -> RolledBack:
    """Activate a version again, and the newer one that it ends on hold.

    Parameters
    ----------
    who, why : str
        For the ledger.
    to : str, optional
        The version to return to; by default the one that was live before today's.
    key : str, optional
        A rollback with a key that the ledger has is not done again.
    evidence : dict, optional
        For the ledger, beside that of the version.

    Raises
    ------
    RollbackError
        If there is no version to return to, or it is on hold, or never passed its gate.
    RolloutError
        If it does not load, or answers otherwise than at training.
    UnknownVersionError
        If there is no version `to`.
    RegistryError
        If its files are not here and the registry cannot be reached.
    """
    with target.lock(model):
        known = Ledger().find(model, key) if key else None
        if known is not None:
            rollout, left = repeat(target, known), str(known.evidence["from"])
        else:
            rollout, left = _roll_back(
                target, model, who, why, to, key, evidence or {}, run_id
            )
        is_on_hold = left > rollout.plan.live.version
        warnings = try_sync_aliases(model), _interface(rollout.plan, left)
        warning = "; ".join(filter(None, warnings))
        return RolledBack(rollout, left, is_on_hold, warning)


def _interface(plan: ServingPlan, left: str) -> str:
    """Requests that are answered otherwise than by the version that was left.

    It is a warning only: no reason to keep a version that has to go.
    """
    store = Versions()
    try:
        pair = [
            signature_of_version(store.get(plan.model, version))
            for version in (plan.live.version, left)
        ]
    except (UnknownVersionError, BundleError, RegistryError, OSError) as error:
        return f"whether it takes the requests to {left} is not known: {error}"
    found = incompatibilities(*pair)
    if not found:
        return ""
    return f"it does not answer every request as {left} did: {summary(found)}"


def _roll_back(
    target: Target,
    model: str,
    who: str,
    why: str,
    to: str | None,
    key: str | None,
    evidence: dict[str, Any],
    run_id: str | None,
) -> tuple[Rollout, str]:
    history = Plans().history(model)
    if not history:
        raise RollbackError(f"{model} was never deployed: there is nothing to leave")
    before = history[-1]
    record = _destination(model, history, to)
    try:
        store_bundle(record)
    except BundleError as error:
        raise RollbackError(f"version {record.version}: {error}") from error
    plan = live_plan(record, before, f"rollback: {why}", run_id)
    found = {**evidence_of(record), "from": before.live.version, **evidence}
    unique = key or f"rollback:{plan.generation}"
    left = before.live.version
    # A newer version that is left must not come back by itself.
    holds = [left] if left > record.version else []
    rollout = activate(target, plan, "rollback", who, why, found, unique, holds)
    return rollout, left


def _destination(
    model: str, history: list[ServingPlan], to: str | None
) -> VersionRecord:
    store, on_hold = Versions(), Ledger().held(model)
    served = {plan.live.version for plan in history}
    if to is None:
        gone = served - {*store.names(model)}
        to = previous_version(history, {*on_hold, *gone})
        if to is None:
            raise RollbackError(
                f"{model} has no version to return to: of those that served before"
                f" {history[-1].live.version}, {_counted(on_hold)} on hold and"
                f" {_counted(gone)} gone"
            )
    record = _known(store, model, to)
    if to == history[-1].live.version and not Plans().is_retired(model):
        raise RollbackError(f"version {to} of {model} is the one that serves now")
    if to in on_hold:
        entry = on_hold[to]
        raise RollbackError(
            f"version {to} of {model} is on hold since {entry.time}: {entry.why};"
            f" `ml-assets unhold {model} {to}` takes it off"
        )
    evaluation = store.evaluation(model, to)
    if to not in served and not (evaluation and evaluation["gate"]["passed"]):
        raise RollbackError(
            f"version {to} of {model} never served and did not pass its gate"
        )
    return record


def _known(store: Versions, model: str, version: str) -> VersionRecord:
    try:
        return store.get(model, version)
    except UnknownVersionError as error:
        kept = ", ".join(store.names(model)) or "none"
        raise UnknownVersionError(
            f"model {model} has no version {version}, or it was removed; kept: {kept}"
        ) from error


def _counted(versions: Any) -> str:
    return f"{len(versions)} {'is' if len(versions) == 1 else 'are'}"
