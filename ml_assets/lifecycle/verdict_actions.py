"""Applying the verdict of an experiment: promote, drop or keep the challenger."""

import datetime as dt
from typing import NamedTuple

from ml_assets.lifecycle.activation import activate
from ml_assets.lifecycle.aliases import are_synced, try_sync_aliases
from ml_assets.lifecycle.experiments import ExperimentStatus, experiment_status
from ml_assets.lifecycle.plan_transitions import drop, next_step, promote
from ml_assets.records.ledger_entry import Kind
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.plans import Plans, publish
from ml_assets.targets import Rollout, Target


class NoExperimentError(Exception):
    """The model has no challenger."""


class Action(NamedTuple):
    """The plan that a verdict leads to, and its ledger entry's kind, reason and key."""

    plan: ServingPlan
    kind: Kind
    why: str
    key: str


class Outcome(NamedTuple):
    """The status and the rollout that it led to; None where the plan stays.

    ``warning`` is not empty where the registry's aliases are still to be set.
    """

    status: ExperimentStatus
    rollout: Rollout | None
    warning: str


def apply_verdict(
    target: Target, model: str, spec: ServingSpec, who: str, run_id: str | None = None
) -> Outcome | None:
    """Apply the verdict of the experiment; None where there is no experiment.

    It may be called at any time and by several at once: each step of an experiment has
    a key in the ledger, and status and rollout are under one lock.

    Raises
    ------
    RolloutError
        If the plan that follows was not activated; what served before serves on.
    """
    with target.lock(model):
        # A process that died may have left to us what servers read, and the aliases.
        publish(model)
        warning = "" if are_synced(model) else try_sync_aliases(model)
        plans = Plans().history(model)
        now = dt.datetime.now(dt.UTC)
        found = experiment_status(spec, plans, now)
        if found is None:
            return None
        action = follow(spec, found, run_id)
        if action is None:
            return Outcome(found, None, warning)
        return _act(target, found, action, who)


def stop(target: Target, model: str, spec: ServingSpec, who: str, why: str) -> Outcome:
    """Take the challenger out, whatever the evidence says.

    Raises
    ------
    NoExperimentError
        If there is none.
    RolloutError
        If the champion's plan was not activated; what served before serves on.
    """
    with target.lock(model):
        plans = Plans().history(model)
        found = experiment_status(spec, plans, dt.datetime.now(dt.UTC))
        if found is None:
            raise NoExperimentError(f"{model} has no challenger")
        name = found.plan.experiment
        following = drop(found.plan, f"{name} is taken out: {why}")
        key = f"experiment:{name}:stop"
        return _act(target, found, Action(following, "rollback", why, key), who)


def follow(
    spec: ServingSpec, found: ExperimentStatus, run_id: str | None
) -> Action | None:
    """The action that the verdict leads to; None where the plan stays as it is."""
    plan, verdict = found.plan, found.decision.verdict
    name, why = plan.experiment, found.decision.sentence
    if verdict == "promote":
        following = promote(plan, f"version {name} is promoted", run_id)
        return Action(following, "promotion", why, f"experiment:{name}:{verdict}")
    if verdict in ("roll_back", "keep"):
        kind: Kind = "rollback" if verdict == "roll_back" else "experiment"
        reason = f"version {plan.live.version} stays, {name} goes"
        following = drop(plan, reason, run_id)
        return Action(following, kind, why, f"experiment:{name}:{verdict}")
    if spec.strategy != "canary" or not _may_grow(spec, found):
        return None
    why = f"no guardrail is breached after {found.step_requests:,} requests"
    larger = next_step(plan, spec.steps, f"canary: {why}", run_id)
    if larger is None:
        return None
    share = larger.arms[-1].share
    return Action(larger, "experiment", why, f"experiment:{name}:share {share:g}")


def _may_grow(spec: ServingSpec, found: ExperimentStatus) -> bool:
    """Whether a canary has shown enough, at its share, to be given a larger one."""
    is_split = any(arm.mode == "split" for arm in found.plan.arms)
    return is_split and found.step_requests >= spec.minimum_requests


def _act(target: Target, found: ExperimentStatus, action: Action, who: str) -> Outcome:
    """Activate the plan and set the aliases; to be called under the lock."""
    plan, kind, why, key = action
    evidence = found.to_dict()
    rollout = activate(target, plan, kind, who, why, evidence, key)
    return Outcome(found, rollout, try_sync_aliases(plan.model))
