"""Activating a plan with its entry in the ledger, whoever decided on it.

Deployment, promotion and rollback go this way. The plan, its entry and the holds that
it sets are one transaction; what servers read is published after it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_assets.records.ledger_entry import Entry, Kind
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.records.version import VersionRecord
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger, append
from ml_assets.state.versions import Versions
from ml_assets.targets import Rollout, RolloutError, Target


def activate(
    target: Target,
    plan: ServingPlan,
    kind: Kind,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    key: str,
    holds: Sequence[str] = (),
) -> Rollout:
    """Roll `plan` out, commit it with its entry and its holds; once per `key`.

    Call it under ``target.lock(plan.model)``. With a key whose entry exists, its
    plan is waited for if it is still active, and nothing else is done.

    Raises
    ------
    RolloutError
        If the plan was not activated; nothing changed.
    """
    known = Ledger().find(plan.model, key)
    if known is not None:
        return repeat(target, known)

    def commit() -> None:
        with writing(plan.model) as connection:
            plans.commit(connection, plan)
            append(
                connection,
                plan.model,
                kind,
                plan.experiment or plan.live.version,
                plan.generation,
                who,
                why,
                {**evidence, "plan_sha256": digest(plan)},
                key,
            )
            for held in holds:
                append(
                    connection,
                    plan.model,
                    "hold",
                    held,
                    None,
                    who,
                    f"rolled back: {why}",
                    {"generation": plan.generation},
                    f"hold:{held}:{plan.generation}",
                )
        plans.publish(plan.model)

    return target.apply(plan, commit)


def repeat(target: Target, entry: Entry) -> Rollout:
    """The rollout of an entry's plan, waited for if it is still active."""
    try:
        plan = plans.Plans().read(entry.model, int(entry.generation or 0))
    except LookupError as error:
        raise RolloutError(
            f"the ledger of {entry.model} names plan {entry.generation} in entry"
            f" {entry.seq}, and {error}"
        ) from error
    if plan != plans.Plans().current(entry.model):
        return Rollout(plan, 0)
    # Whoever committed it may have died before servers could read it.
    plans.publish(entry.model)
    return reapply(target, plan)


def reapply(target: Target, plan: ServingPlan) -> Rollout:
    """Have the active plan served; it is not committed again."""

    def commit() -> None:
        raise RolloutError(f"plan {plan.generation} of {plan.model} is not active")

    return target.apply(plan, commit)


def roll_out_again(target: Target, model: str) -> Rollout:
    """Roll the active plan of `model` out again, as its servers ought to be today.

    Makes no new plan and no entry. It waits for whoever deploys the model now, and may
    be repeated.

    Raises
    ------
    RolloutError
        If the model is not in service, or its servers cannot be brought to the plan.
    """
    with target.lock(model):
        plan = plans.Plans().active().get(model)
        if plan is None:
            raise RolloutError(f"{model} is not in service")
        plans.publish(model)
        return reapply(target, plan)


def evidence_of(record: VersionRecord) -> dict[str, Any]:
    """A version as evidence: figures, clauses, data, and SHA-256 of its files."""
    store = Versions()
    found = store.evaluation(record.model, record.version) or {}
    return {
        "figures": found.get("figures"),
        "gate": found.get("gate"),
        "raw_version": record.raw_version,
        "features_version": record.features_version,
        "training_run": record.run_id,
        "registry_version": record.registry_version,
        "sha256": store.digests(record.model, record.version),
    }
