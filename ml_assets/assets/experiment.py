"""``<model>/experiment``: the challenger against the champion, and what follows."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    key,
    markdown_table,
    plot,
    stage_arguments,
    who_runs,
)
from ml_assets.deployments import mirror, put_in_force
from ml_assets.experiments import Standing, standing
from ml_assets.ledger import Kind
from ml_assets.model import ModelSpec
from ml_assets.resources.registry import RegistryError
from ml_assets.serving.plan import ServingPlan
from ml_assets.storage import storage_root
from ml_assets.strategy import drop, next_step, promote
from ml_assets.targets import Rollout, RolloutError, Target
from ml_assets.targets.local import LocalTarget

EXPERIMENT_CHECK = "experiment"


class Action(NamedTuple):
    """The plan that a verdict leads to, and how the ledger calls it."""

    plan: ServingPlan
    kind: Kind
    why: str
    key: str


class Outcome(NamedTuple):
    """What was found and what came of it; no rollout where nothing had to be done.

    ``warning`` says what of the registry is still to be set, if anything.
    """

    found: Standing
    rollout: Rollout | None
    warning: str


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that decides, and the check that says how it stands."""
    experiment_key = key(spec, "experiment")
    check = dg.AssetCheckSpec(
        EXPERIMENT_CHECK,
        asset=experiment_key,
        description="The challenger, if there is one, was not rolled back.",
    )

    @dg.asset(
        **stage_arguments(spec, "experiment", "python"),
        description=(
            f"The challenger of {spec.name} against its champion by the labels that"
            " arrived: it is promoted, rolled back, or tried on."
        ),
        deps=[key(spec, "predictions"), key(spec, "labels")],
        check_specs=[check],
        **MAY_SKIP,
    )
    def experiment(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult]:
        target = LocalTarget(storage_root())
        try:
            outcome = decide(spec, target, context.run.run_id, who_runs(context))
        except RolloutError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        if outcome is None:
            reason = "no challenger is under test"
            context.log.info(reason)
            yield dg.AssetObservation(experiment_key, metadata={"skipped": reason})
            yield _check(spec, True, reason)
            return
        found = outcome.found
        sentence = f"{found.plan.experiment}: {found.decision.sentence}"
        if outcome.warning:
            context.log.warning(outcome.warning)
        context.log.info(f"{found.decision.verdict}: {sentence}")
        yield dg.MaterializeResult(metadata=describe(outcome))
        passed = found.decision.verdict != "roll_back"
        yield _check(spec, passed, f"{found.decision.verdict}: {sentence}")

    return dg.Definitions(assets=[experiment])


def decide(spec: ModelSpec, target: Target, run_id: str, who: str) -> Outcome | None:
    """Look at the experiment and do what the verdict says; None where there is none.

    It may be called at any time and by several at once: each step of an experiment has
    a key in the ledger, and the lock is held from the look to the deed.

    Raises
    ------
    RolloutError
        If the plan that follows was not put in force; what served before serves on.
    """
    with target.lock(spec.name):
        plans = target.history(spec.name)
        now = dt.datetime.now(dt.UTC)
        found = standing(storage_root(), spec.serving, plans, now)
        if found is None:
            return None
        action = follow(spec, found, run_id)
        if action is None:
            return Outcome(found, None, "")
        rollout = put_in_force(
            target,
            action.plan,
            action.kind,
            who,
            action.why,
            found.to_dict(),
            action.key,
        )
        return Outcome(found, rollout, _label(target, spec.name))


def follow(spec: ModelSpec, found: Standing, run_id: str | None) -> Action | None:
    """What the verdict leads to; None where everything stays as it is."""
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
    if spec.serving.strategy != "canary" or not _may_grow(spec, found):
        return None
    why = f"no guardrail is breached after {found.step_requests:,} requests"
    larger = next_step(plan, spec.serving.steps, f"canary: {why}", run_id)
    if larger is None:
        return None
    share = larger.arms[-1].share
    return Action(larger, "experiment", why, f"experiment:{name}:share {share:g}")


def _may_grow(spec: ModelSpec, found: Standing) -> bool:
    """Whether a canary has shown enough, at its share, to be given a larger one."""
    is_split = any(arm.mode == "split" for arm in found.plan.arms)
    return is_split and found.step_requests >= spec.serving.minimum_requests


def _label(target: Target, model: str) -> str:
    """Set the registry's aliases; what serves does not depend on them."""
    try:
        absent = mirror(target, model)
    except RegistryError as error:
        return f"the registry's aliases are still to be set: {error}"
    return f"not in the registry any more: {', '.join(absent)}" if absent else ""


def _check(spec: ModelSpec, passed: bool, sentence: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=EXPERIMENT_CHECK,
        asset_key=key(spec, "experiment"),
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=sentence,
    )


def describe(outcome: Outcome) -> dict[str, Any]:
    """What the UI shows of an experiment."""
    from ml_assets.ml import live_plots

    found = outcome.found
    image = live_plots.evidence(
        found.trace, found.evidence.threshold, found.evidence.describe()
    )
    shown = {
        "experiment": str(found.plan.experiment),
        "champion": found.plan.live.version,
        "verdict": found.decision.verdict,
        "finding": found.decision.sentence,
        "days": round(found.days, 2),
        "labels": found.evidence.n,
        "figures": dg.MetadataValue.md(table(found)),
        "plot_evidence": plot(image),
        "state": dg.MetadataValue.json(found.to_dict()),
    }
    if outcome.rollout is not None:
        shown["generation"] = outcome.rollout.plan.generation
        shown["follows"] = outcome.rollout.plan.reason
    return shown


def table(found: Standing) -> str:
    """Evidence and guardrails as Markdown."""
    import pandas as pd

    evidence = found.evidence
    rows = [
        ("challenger is better", evidence.log_better, evidence.threshold),
        ("challenger is worse", evidence.log_worse, evidence.threshold),
    ]
    lines = [
        {
            "evidence": name,
            "e-value": f"{_exp(log_e):.4g}",
            "decides at": f"{_exp(threshold):.4g}",
            "figures": evidence.describe(),
        }
        for name, log_e, threshold in rows
    ]
    lines += [
        {
            "evidence": f"guardrail: {rail.name}",
            "e-value": f"{_exp(rail.log_e):.4g}",
            "decides at": f"{1 / rail.alpha:.4g}",
            "figures": rail.describe(),
        }
        for rail in found.guardrails
    ]
    return markdown_table(pd.DataFrame(lines))


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))
