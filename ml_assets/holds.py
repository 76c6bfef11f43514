"""Versions that are not to be deployed until somebody says so."""

from ml_assets.ledger import Entry, Ledger, held
from ml_assets.storage import storage_root
from ml_assets.targets import Target
from ml_assets.versions import VersionStore


class HoldError(Exception):
    """The version cannot be put on hold, or taken off it."""


def hold(target: Target, model: str, version: str, who: str, why: str) -> Entry:
    """Keep `version` from being deployed, and from being removed, until its release.

    A version that is on hold stays so; the entry of then is returned.

    Raises
    ------
    HoldError
        If the version is in service.
    UnknownVersionError
        If there is no such version.
    """
    with target.lock(model):
        VersionStore(storage_root()).get(model, version)
        known = on_hold(model).get(version)
        if known is not None:
            return known
        plan = target.current(model)
        if plan is not None and version in [arm.version for arm in plan.arms]:
            raise HoldError(
                f"version {version} of {model} is in service, as plan"
                f" {plan.generation}; `ml-assets rollback {model}` takes it out and"
                " puts it on hold"
            )
        return Ledger(storage_root()).append(
            model, "hold", version, None, who=who, why=why, evidence={}
        )


def release(target: Target, model: str, version: str, who: str, why: str) -> Entry:
    """Let `version` be deployed again.

    Raises
    ------
    HoldError
        If it is not on hold.
    """
    with target.lock(model):
        known = on_hold(model)
        if version not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise HoldError(
                f"version {version} of {model} is not on hold; on hold: {listed}"
            )
        evidence = {"hold": known[version].hash}
        return Ledger(storage_root()).append(
            model, "release_hold", version, None, who=who, why=why, evidence=evidence
        )


def on_hold(model: str) -> dict[str, Entry]:
    """Versions of `model` on hold, and the entry that put each there."""
    return held(Ledger(storage_root()).entries(model))
