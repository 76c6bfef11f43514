"""The sensor that rolls back a plan which no running server can load.

It also has the objects of models follow a change of the chart's template.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from ml_assets.assets.retries import next_attempt
from ml_assets.assets.rollback import op_name
from ml_assets.automation.over_models import each_model, model_sensor, tick_result
from ml_assets.automation.template_changes import (
    TemplateChange,
    follow_template,
    read_template,
)
from ml_assets.core.decoding import from_json
from ml_assets.serving.models.rendezvous import rendezvous
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans, publish

NAME = "health"
SENSOR_SECONDS = 30


def health_sensor(
    specs: Sequence[ModelSpec], jobs: Sequence[Any], name: str = NAME
) -> dg.SensorDefinition:
    """Rolls back a plan that every running server failed to load, until one does it.

    Parameters
    ----------
    jobs : sequence of jobs
        Which roll back a model, and which deploy it, of each model.
    """
    description = "Rolls a model back when no server can serve its plan."
    return model_sensor(name, tick, specs, jobs, SENSOR_SECONDS, description)


def tick(
    context: dg.SensorEvaluationContext, specs: Mapping[str, ModelSpec]
) -> dg.SensorResult:
    """Publish what is late, and see what the running servers report of each model.

    Its cursor is a `TemplateChange`.
    """
    unpublished = Plans().unpublished()

    def decide(model: str) -> dg.RunRequest | str:
        if model in unpublished:
            # Its deployer died, or lost the storage, before it published the plan.
            publish(model)
        return _decide(context.instance, model)

    decisions, failed = each_model(context, specs, decide)
    found = [*decisions.values()]
    requests = [item for item in found if isinstance(item, dg.RunRequest)]
    reasons = [item for item in found if isinstance(item, str) and item]
    last = from_json(context.cursor or "{}", TemplateChange)
    active = Plans().active() if read_template() else {}
    in_service = [specs[model] for model in sorted(specs.keys() & active.keys())]
    now = dt.datetime.now(dt.UTC)
    request, change = follow_template(context.instance, last, in_service, now)
    requests += [request] if request else []
    nothing = "each plan is served, or no server runs"
    return tick_result(requests, reasons, failed, nothing, change)


def _decide(instance: dg.DagsterInstance, model: str) -> dg.RunRequest | str:
    """The run that rolls `model` back; else why not, or nothing to say."""
    reports = rendezvous().reports(model)
    if not any(report is not None and report.state == "failed" for report in reports):
        return ""
    plan = Plans().current(model)
    if plan is None:
        return f"{model} was never deployed"
    failed = [
        report
        for report in reports
        if report is not None
        and report.state == "failed"
        and report.generation == plan.generation
        # Else it reports a plan that was proposed, and serves this one.
        and report.proposal is None
    ]
    # If one server fails, the fault may be its own; if all do, it is the version's.
    if not failed or len(failed) < len(reports):
        return (
            f"{len(failed)} of {len(reports)} running servers cannot serve plan"
            f" {plan.generation} of {model}"
        )
    job, tags = f"{model}_rollback", {"failed_generation": str(plan.generation)}
    attempt = next_attempt(instance, job, tags, dt.datetime.now(dt.UTC).timestamp())
    if attempt is None:
        return (
            f"a rollback of plan {plan.generation} of {model} is under way, is asked"
            " for again later, or found nothing to return to"
        )
    again = f":{attempt}" if attempt > 1 else ""
    reason = f"no server can serve plan {plan.generation}: {failed[0].reason}"
    return dg.RunRequest(
        job_name=job,
        run_key=f"{model}:{plan.generation}{again}",
        run_config={"ops": {op_name(model): {"config": {"reason": reason}}}},
        tags={"model": model, **tags},
    )
