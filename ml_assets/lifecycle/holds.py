"""Holds: versions that may not be deployed until an unhold."""

from typing import NamedTuple

from ml_assets.lifecycle.aliases import try_sync_aliases
from ml_assets.records.ledger_entry import Entry
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets import Target


class HoldError(Exception):
    """The version cannot be put on hold, or taken off it."""


class HoldChange(NamedTuple):
    """The entry in the ledger, and a warning where aliases are still to be set.

    A hold and an unhold change what a rollback returns to, and so the alias previous.
    """

    entry: Entry
    warning: str


def hold(target: Target, model: str, version: str, who: str, why: str) -> HoldChange:
    """Keep `version` from being deployed, and from being removed, until `unhold`.

    Of a version that is on hold already, the entry of then is returned.

    Raises
    ------
    HoldError
        If the version is in service.
    UnknownVersionError
        If there is no such version.
    """
    with target.lock(model):
        Versions().get(model, version)
        known = Ledger().held(model).get(version)
        if known is not None:
            return HoldChange(known, "")
        plan = Plans().serving(model)
        if plan is not None and version in [arm.version for arm in plan.arms]:
            raise HoldError(
                f"version {version} of {model} is in service, as plan"
                f" {plan.generation}; `ml-assets rollback {model}` takes it out and"
                " puts it on hold"
            )
        entry = Ledger().append(
            model, "hold", version, None, who=who, why=why, evidence={}
        )
        return HoldChange(entry, _synced(model))


def unhold(target: Target, model: str, version: str, who: str, why: str) -> HoldChange:
    """Let `version` be deployed again.

    Raises
    ------
    HoldError
        If it is not on hold.
    """
    with target.lock(model):
        known = Ledger().held(model)
        if version not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise HoldError(
                f"version {version} of {model} is not on hold; on hold: {listed}"
            )
        evidence = {"hold": known[version].hash}
        entry = Ledger().append(
            model, "release_hold", version, None, who=who, why=why, evidence=evidence
        )
        return HoldChange(entry, _synced(model))


def _synced(model: str) -> str:
    """A model that never served has no alias to set."""
    return try_sync_aliases(model) if Plans().current(model) is not None else ""
