"""``<model>/experiment``: the challenger against the champion, and what follows."""

import math
from typing import Any

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    check_result,
    check_spec,
    keep_plots,
    key,
    markdown_table,
    nothing_to_do,
    stage_arguments,
    who_runs,
)
from ml_assets.assets.retries import failing_on, retrying
from ml_assets.lifecycle.experiments import ExperimentStatus
from ml_assets.lifecycle.verdict_actions import Outcome, apply_verdict
from ml_assets.spec.model import ModelSpec
from ml_assets.targets import RolloutError, configured_target


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that applies the verdict, and the check that shows it."""
    check = check_spec(
        spec, "experiment", "The challenger, if there is one, was not rolled back."
    )

    @dg.asset(
        **stage_arguments(spec, "experiment", "python"),
        description=(
            f"The challenger of {spec.name} against its champion by the labels that"
            " arrived: it is promoted, rolled back, or stays under test."
        ),
        deps=[key(spec, "predictions"), key(spec, "labels")],
        check_specs=[check],
        **MAY_SKIP,
    )
    def experiment(
        context: dg.AssetExecutionContext,
    ) -> Events:
        who, run_id = who_runs(context), context.run.run_id
        with failing_on(RolloutError), retrying(context):
            target = configured_target()
            outcome = apply_verdict(target, spec.name, spec.serving, who, run_id)
        if outcome is None:
            reason = "no challenger is under test"
            yield from nothing_to_do(context, spec, "experiment", reason)
            return
        found = outcome.status
        sentence = f"{found.plan.experiment}: {found.decision.sentence}"
        if outcome.warning:
            context.log.warning(outcome.warning)
        context.log.info(f"{found.decision.verdict}: {sentence}")
        yield dg.MaterializeResult(metadata=describe(spec, outcome))
        passed = found.decision.verdict != "roll_back"
        yield check_result(
            spec, "experiment", passed, f"{found.decision.verdict}: {sentence}"
        )

    return dg.Definitions(assets=[experiment])


def describe(spec: ModelSpec, outcome: Outcome) -> dict[str, Any]:
    """What the UI shows of an experiment."""
    from ml_assets.ml.plots import monitoring

    found = outcome.status
    image = monitoring.evidence(
        found.trace, found.evidence.threshold, found.evidence.describe()
    )
    # It goes from the experiment's start to now: one file an experiment.
    plots = f"reports/{spec.name}/experiment/{found.plan.experiment}."
    shown = {
        "experiment": str(found.plan.experiment),
        "champion": found.plan.live.version,
        "verdict": found.decision.verdict,
        "finding": found.decision.sentence,
        "days": round(found.days, 2),
        "labels": found.evidence.n,
        "figures": dg.MetadataValue.md(table(found)),
        **keep_plots(plots, {"evidence": image}),
        "state": dg.MetadataValue.json(found.to_dict()),
    }
    if outcome.rollout is not None:
        shown["generation"] = outcome.rollout.plan.generation
        shown["follows"] = outcome.rollout.plan.reason
    return shown


def table(found: ExperimentStatus) -> str:
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
