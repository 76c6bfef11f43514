"""The registry's aliases champion, challenger and previous, set as the plans have them.

The plans and the ledger decide; the aliases follow. The state remembers after which
entry they were set: as long as a later one changes them, nobody moved them by hand.
"""

from sqlalchemy import func, select

from ml_assets.lifecycle.plan_transitions import previous_version
from ml_assets.state.engine import reading, writing
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    RegistryError,
)
from ml_assets.state.rows import replace
from ml_assets.state.schema import alias_syncs, ledger
from ml_assets.state.versions import Versions

# Kinds of entry after which the aliases may be others.
CHANGES = (
    *("deployment", "promotion", "rollback", "experiment"),
    *("hold", "release_hold"),
)


def expected_aliases(model: str) -> dict[str, str]:
    """Alias to version, by the plans and the ledger."""
    history = Plans().history(model)
    if not history:
        return {}
    existing = {*Versions().names(model)}
    on_hold = Ledger().held(model)
    gone = {plan.live.version for plan in history} - existing
    others = [item.version for item in history[-1].arms if item.mode != "live"]
    found = {
        CHAMPION: history[-1].live.version,
        PREVIOUS: previous_version(history, {*on_hold, *gone}),
        CHALLENGER: others[0] if others else None,
    }
    return {alias: version for alias, version in found.items() if version is not None}


def sync_aliases(model: str) -> list[str]:
    """Set the registry's aliases as the plans have them.

    Call it under the lock of the target: of two, the later one has the last word.

    Returns
    -------
    list of str
        Aliases that point at nothing, because their version was deleted there.

    Raises
    ------
    RegistryError
        If the registry cannot be reached.
    """
    store, last = Versions(), Ledger().last(model)
    numbers = {
        alias: store.get(model, version).registry_version
        for alias, version in expected_aliases(model).items()
    }
    absent = Registry().set_aliases(model, numbers)
    with writing(model) as connection:
        replace(connection, alias_syncs, model=model, seq=last.seq if last else 0)
    return absent


def try_sync_aliases(model: str) -> str:
    """Set the aliases if the registry can be reached; else return a warning.

    Call it under the lock of the target.
    """
    try:
        absent = sync_aliases(model)
    except RegistryError as error:
        return f"{error}; `ml-assets ledger {model} --repair` sets the aliases"
    listed = " and ".join(absent)
    return f"the registry no longer has the version of {listed}" if absent else ""


def are_synced(model: str) -> bool:
    """Whether the aliases were set after the last entry that changes them."""
    with reading() as connection:
        synced = select(alias_syncs.c.seq).where(alias_syncs.c.model == model)
        since = connection.scalar(synced) or 0
        changes = select(func.max(ledger.c.seq)).where(
            ledger.c.model == model, ledger.c.kind.in_(CHANGES)
        )
        return since >= (connection.scalar(changes) or 0)
