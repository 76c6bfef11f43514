"""Whether ledger, plans and registry agree, and which of them does not."""

from collections.abc import Iterator
from typing import NamedTuple

from ml_assets.lifecycle.aliases import are_synced, expected_aliases
from ml_assets.records.ledger_entry import Entry
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.registry import ALIASES, Registry, RegistryError
from ml_assets.state.versions import Versions


class Finding(NamedTuple):
    """One disagreement; `is_serious` where a record of the past is not what it was."""

    is_serious: bool
    message: str


def audit(model: str) -> list[Finding]:
    """Everything that is wrong with the records of `model`; empty where nothing is."""
    found = audit_ledger(model)
    plans = Plans().history(model)
    found += [Finding(True, text) for text in _plans(Ledger().entries(model), plans)]
    return found + [Finding(False, text) for text in _aliases(model)]


def audit_ledger(subject: str) -> list[Finding]:
    """What is wrong with the ledger of a model, or of releases."""
    found = Ledger().verify(subject)
    return [Finding(True, f"ledger: {problem.message}") for problem in found]


def _plans(entries: list[Entry], plans: list[ServingPlan]) -> Iterator[str]:
    """Plans since the first entry that have no entry, or another than it describes."""
    by_number = {e.generation: e for e in entries if e.generation is not None}
    # Plans from before there was a ledger have none.
    first = min(by_number, default=plans[0].generation if plans else 0)
    for plan in plans:
        entry = by_number.pop(plan.generation, None)
        if entry is None:
            if plan.generation >= first:
                yield (
                    f"plan {plan.generation} (version {plan.live.version}) has no entry"
                    " in the ledger"
                )
        elif entry.evidence.get("plan_sha256") != digest(plan):
            yield (
                f"plan {plan.generation} serves version {plan.live.version} and is not"
                f" the one of entry {entry.seq} (version {entry.version})"
            )
    for number, entry in sorted(by_number.items()):
        yield f"plan {number} of entry {entry.seq} does not exist"


def _aliases(model: str) -> Iterator[str]:
    wanted = expected_aliases(model)
    if not wanted:
        return
    try:
        found = Registry().aliases(model)
    except RegistryError as error:
        yield str(error)
        return
    store = Versions()
    for alias in ALIASES:
        expected = wanted.get(alias)
        number = found.get(alias)
        record = store.registered(model, number) if number else None
        actual = (record.version if record else "unknown") if number else None
        if actual != expected:
            yield (
                f"alias {alias} points at {_shown(actual, number)}, expected"
                f" {_shown(expected)}; {_cause(model)}"
            )


def _shown(version: str | None, number: str | None = None) -> str:
    if version is None:
        return "nothing"
    return f"version {version}" + (f" (registry number {number})" if number else "")


def _cause(model: str) -> str:
    if are_synced(model):
        return f"it was moved by hand: `ml-assets ledger {model} --repair` sets it back"
    return (
        "the registry could not be reached after the last plan:"
        f" `ml-assets ledger {model} --repair` sets it"
    )
