"""Activating a plan with its entry in the ledger, whoever decided on it.

Deployment, promotion and rollback go this way. What is about to be done is noted first,
so that a process that dies between the plan and its entry leaves a note from which the
next one writes the entry.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.storage import read_json, sha256_file, storage_root, write_json
from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.records.plan import Arm, ServingPlan, digest
from ml_assets.state.ledger import Ledger, held
from ml_assets.state.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    RegistryError,
)
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

    Call it with ``target.lock(plan.model)`` held. With a key whose entry exists, its
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
    write_json(_note(plan.model), msgspec.to_builtins(draft))
    try:
        rollout = target.apply(plan)
    except RolloutError:
        _drop_note(plan)
        raise
    finish(target, plan.model)
    return rollout


def finish(target: Target, model: str) -> Entry | None:
    """Write the entry of a plan whose deployer died before it could.

    Call it with ``target.lock(model)`` held.
    """
    draft = read_json(_note(model))
    if draft is None:
        return None
    wanted, entry = draft.pop("plan"), None
    if any(digest(plan) == wanted for plan in target.history(model)):
        entry = Ledger(storage_root()).append(model, **draft)
        # The aliases come next; until they are set, nobody moved them by hand.
        write_json(_unlabelled(model), {})
    _note(model).unlink()
    return entry


def repeat(target: Target, entry: Entry) -> Rollout:
    """The rollout that an entry tells of, waited for if it is still active."""
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


def _drop_note(plan: ServingPlan) -> None:
    """Take back what was noted; of a deployer that overtook us, the note stays."""
    draft = read_json(_note(plan.model))
    if draft is not None and draft["plan"] == digest(plan):
        _note(plan.model).unlink()


def _note(model: str) -> Path:
    return storage_root() / "ledger" / f"{model}.pending.json"


def _unlabelled(model: str) -> Path:
    return storage_root() / "ledger" / f"{model}.unlabelled.json"


def arm(record: VersionRecord) -> Arm:
    """The version as the live arm of a plan."""
    return Arm(
        version=record.version,
        bundle=record.bundle,
        files=record.files,
        runtime="compiled" if record.runtime == "compiled" else "sklearn",
    )


def live_plan(
    record: VersionRecord,
    before: ServingPlan | None,
    reason: str,
    run_id: str | None,
    log_sample: float | None = None,
) -> ServingPlan:
    """The plan after `before` in which the version alone serves.

    `log_sample` is that of `before` by default.
    """
    kept = before.log_sample if before else 1.0
    return ServingPlan(
        model=record.model,
        generation=before.generation + 1 if before else 1,
        arms=(arm(record),),
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        reason=reason,
        run_id=run_id,
        log_sample=kept if log_sample is None else log_sample,
    )


def previous_version(
    history: Iterable[ServingPlan], unusable: Iterable[str] = ()
) -> str | None:
    """What a rollback returns to: the version that was live last before today's.

    Versions in `unusable` (those on hold, those that are gone) are passed over.
    """
    versions = [plan.live.version for plan in history][::-1]
    passed_over = {*versions[:1], *unusable}
    return next((name for name in versions if name not in passed_over), None)


def roles(target: Target, model: str) -> dict[str, str]:
    """Alias to version, as the plans and the ledger have it."""
    history = target.history(model)
    if not history:
        return {}
    existing = {*VersionStore(storage_root()).names(model)}
    on_hold = held(Ledger(storage_root()).entries(model))
    gone = {plan.live.version for plan in history} - existing
    others = [item.version for item in history[-1].arms if item.mode != "live"]
    found = {
        CHAMPION: history[-1].live.version,
        PREVIOUS: previous_version(history, {*on_hold, *gone}),
        CHALLENGER: others[0] if others else None,
    }
    return {alias: version for alias, version in found.items() if version is not None}


def mirror(target: Target, model: str) -> list[str]:
    """Set the registry's aliases as the plans have it.

    Call it with ``target.lock(model)`` held: of two, the later one labels last.

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
    wanted = roles(target, model)
    numbers = {
        alias: store.get(model, version).registry_version
        for alias, version in wanted.items()
    }
    absent = Registry().label(model, numbers)
    _unlabelled(model).unlink(missing_ok=True)
    return absent


def plan_path(plan: ServingPlan) -> Path:
    """File of an active plan; its SHA-256 stands in the ledger."""
    return storage_root() / "plans" / plan.model / f"{plan.generation:08d}.json"


def relabel(target: Target, model: str) -> str:
    """Set the aliases if the registry can be reached; else say what is to be done.

    Call it with ``target.lock(model)`` held.
    """
    # Until they are set, nobody moved them by hand.
    write_json(_unlabelled(model), {})
    try:
        absent = mirror(target, model)
    except RegistryError as error:
        return f"{error}; `ml-assets ledger {model} --repair` sets the aliases"
    listed = " and ".join(absent)
    return f"the registry no longer has the version of {listed}" if absent else ""


def is_labelled(model: str) -> bool:
    """Whether the aliases were set after the last plan."""
    return not _unlabelled(model).exists()


def evidence_of(record: VersionRecord) -> dict[str, Any]:
    """What speaks for a version: figures, clauses, data, and SHA-256 of its files."""
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
