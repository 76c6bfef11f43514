"""The registry's aliases champion, challenger and previous, set as the plans have them.

The plans and the ledger decide; the aliases follow. From a new plan until they are set,
``ledger/<model>.unlabelled.json`` marks that nobody moved them by hand.
"""

from pathlib import Path

from ml_assets.core.storage import storage_root, write_json
from ml_assets.lifecycle.plan_transitions import previous_version
from ml_assets.state.ledger import Ledger, active_holds
from ml_assets.state.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    RegistryError,
)
from ml_assets.state.versions import VersionStore
from ml_assets.targets import Target


def expected_aliases(target: Target, model: str) -> dict[str, str]:
    """Alias to version, by the plans and the ledger."""
    history = target.history(model)
    if not history:
        return {}
    existing = {*VersionStore(storage_root()).names(model)}
    on_hold = active_holds(Ledger(storage_root()).entries(model))
    gone = {plan.live.version for plan in history} - existing
    others = [item.version for item in history[-1].arms if item.mode != "live"]
    found = {
        CHAMPION: history[-1].live.version,
        PREVIOUS: previous_version(history, {*on_hold, *gone}),
        CHALLENGER: others[0] if others else None,
    }
    return {alias: version for alias, version in found.items() if version is not None}


def sync_aliases(target: Target, model: str) -> list[str]:
    """Set the registry's aliases as the plans have them.

    Call it under ``target.lock(model)``: of two, the later one has the last word.

    Returns
    -------
    list of str
        Aliases that point at nothing, because their version was deleted there.

    Raises
    ------
    RegistryError
        If the registry cannot be reached.
    """
    store = VersionStore(storage_root())
    numbers = {
        alias: store.get(model, version).registry_version
        for alias, version in expected_aliases(target, model).items()
    }
    absent = Registry().set_aliases(model, numbers)
    _mark(model).unlink(missing_ok=True)
    return absent


def try_sync_aliases(target: Target, model: str) -> str:
    """Set the aliases if the registry can be reached; else return a warning.

    Call it under ``target.lock(model)``.
    """
    mark_unsynced(model)
    try:
        absent = sync_aliases(target, model)
    except RegistryError as error:
        return f"{error}; `ml-assets ledger {model} --repair` sets the aliases"
    listed = " and ".join(absent)
    return f"the registry no longer has the version of {listed}" if absent else ""


def mark_unsynced(model: str) -> None:
    """Record that a plan or a hold changed, and the aliases were not set since."""
    write_json(_mark(model), {})


def are_synced(model: str) -> bool:
    """Whether the aliases were set after the last plan."""
    return not _mark(model).exists()


def _mark(model: str) -> Path:
    return storage_root() / "ledger" / f"{model}.unlabelled.json"
