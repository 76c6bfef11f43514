"""Activating a plan with its entry in the ledger, whoever decided on it.

Deployment, promotion and rollback go this way. The entry is drafted in a file first,
so that after a process that dies between the plan and its entry the next one writes the
entry from the draft.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.storage import read_json, sha256_file, storage_root, write_json
from ml_assets.lifecycle.aliases import mark_unsynced
from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import VersionRecord, VersionStore
from ml_assets.targets import Rollout, RolloutError, Target


def activate(
    target: Target,
    plan: ServingPlan,
    kind: Kind,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    key: str,
) -> Rollout:
    """Roll `plan` out and write it into the ledger; once per `key`.

    Call it under ``target.lock(plan.model)``. With a key whose entry exists, its
    plan is waited for if it is still active, and nothing else is done.

    Raises
    ------
    RolloutError
        If the plan was not activated; nothing changed.
    """
    ledger = Ledger(storage_root())
    finish(target, plan.model)
    known = ledger.find(plan.model, key)
    if known is not None:
        return repeat(target, known)
    draft = {
        "plan": digest(plan),
        "kind": kind,
        "version": plan.experiment or plan.live.version,
        "generation": plan.generation,
        "who": who,
        "why": why,
        "evidence": {**evidence, "plan_sha256": digest(plan)},
        "key": key,
    }
    write_json(_draft(plan.model), msgspec.to_builtins(draft))
    try:
        rollout = target.apply(plan)
    except RolloutError:
        _drop_draft(plan)
        raise
    finish(target, plan.model)
    return rollout


def finish(target: Target, model: str) -> Entry | None:
    """Write the entry of a plan whose deployer died before it could.

    Call it under ``target.lock(model)``.
    """
    draft = read_json(_draft(model))
    if draft is None:
        return None
    wanted, entry = draft.pop("plan"), None
    if any(digest(plan) == wanted for plan in target.history(model)):
        entry = Ledger(storage_root()).append(model, **draft)
        # The aliases come next; until they are set, nobody moved them by hand.
        mark_unsynced(model)
    _draft(model).unlink()
    return entry


def repeat(target: Target, entry: Entry) -> Rollout:
    """The rollout of an entry's plan, waited for if it is still active."""
    by_number = {plan.generation: plan for plan in target.history(entry.model)}
    if entry.generation not in by_number:
        raise RolloutError(
            f"the ledger of {entry.model} names plan {entry.generation} in entry"
            f" {entry.seq}, and there is no such plan"
        )
    plan = by_number[entry.generation]
    return (
        target.apply(plan) if plan == target.current(entry.model) else Rollout(plan, 0)
    )


def _drop_draft(plan: ServingPlan) -> None:
    """Remove the draft of an entry, unless a deployer that overtook us wrote it."""
    draft = read_json(_draft(plan.model))
    if draft is not None and draft["plan"] == digest(plan):
        _draft(plan.model).unlink()


def _draft(model: str) -> Path:
    return storage_root() / "ledger" / f"{model}.pending.json"


def plan_path(plan: ServingPlan) -> Path:
    """File of an active plan; the ledger has its SHA-256."""
    return storage_root() / "plans" / plan.model / f"{plan.generation:08d}.json"


def evidence_of(record: VersionRecord) -> dict[str, Any]:
    """A version as evidence: figures, clauses, data, and SHA-256 of its files."""
    store = VersionStore(storage_root())
    directory = store.directory(record.model, record.version)
    found = store.evaluation(record.model, record.version) or {}
    paths = [directory / "record.json", directory / "evaluation.json"]
    return {
        "figures": found.get("figures"),
        "gate": found.get("gate"),
        "raw_version": record.raw_version,
        "features_version": record.features_version,
        "training_run": record.run_id,
        "registry_version": record.registry_version,
        "sha256": {
            path.relative_to(store.root).as_posix(): sha256_file(path)
            for path in paths
            if path.exists()
        },
    }
