"""``<model>_rollback``: the job that returns to a version that served before.

``<model>_health`` starts it when no running server can serve the active plan.
"""

import datetime as dt

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, who_runs
from ml_assets.assets.retries import next_attempt, retrying, verdict
from ml_assets.spec.model import ModelSpec

HEALTH_SECONDS = 30


class RollbackConfig(dg.Config):
    """Options of a run."""

    to: str | None = Field(
        None, description="version to return to; the one before today's by default"
    )
    reason: str = Field("asked for", description="why, for the ledger")


def build(spec: ModelSpec) -> dg.Definitions:
    """The job of one model."""

    @dg.op(
        name=f"{spec.name}__roll_back",
        description=f"Returns {spec.name} to a version that served before.",
        tags={"model": spec.name},
        out=dg.Out(dg.Nothing),
    )
    def roll_back(context: dg.OpExecutionContext, config: RollbackConfig) -> None:
        from ml_assets.lifecycle.rollback import RollbackError, rollback
        from ml_assets.state.versions import UnknownVersionError
        from ml_assets.targets import RolloutError, configured_target

        run_id = context.run.run_id
        try:
            with retrying(context):
                done = rollback(
                    configured_target(),
                    spec.name,
                    who_runs(context),
                    config.reason,
                    config.to,
                    key=f"rollback:{run_id}",
                    run_id=run_id,
                )
        except (RollbackError, RolloutError, UnknownVersionError) as error:
            raise verdict(context, error) from error
        if done.warning:
            context.log.warning(done.warning)
        plan = done.rollout.plan
        context.log_event(
            dg.AssetMaterialization(
                key(spec, "deployment"),
                description=f"rollback from version {done.left}: {config.reason}",
                metadata={
                    "version": plan.live.version,
                    "generation": plan.generation,
                    "left": done.left,
                    "servers": done.rollout.servers,
                },
                tags={"dagster/data_version": plan.live.version},
            )
        )

    @dg.job(
        name=f"{spec.name}_rollback",
        description=f"Returns {spec.name} to a version that served before.",
        tags={"model": spec.name},
    )
    def rollback_job() -> None:
        roll_back()

    return dg.Definitions(
        jobs=[rollback_job], sensors=[health_sensor(spec, rollback_job, roll_back.name)]
    )


def health_sensor(
    spec: ModelSpec, job: dg.JobDefinition, op: str
) -> dg.SensorDefinition:
    """Rolls back a plan that every running server failed to load, until one does it."""

    @dg.sensor(
        name=f"{spec.name}_health",
        job=job,
        minimum_interval_seconds=HEALTH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Rolls {spec.name} back when no server can serve its plan.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from ml_assets.serving.models.rendezvous import rendezvous
        from ml_assets.state.plans import Plans, reconcile

        plan = Plans().current(spec.name)
        if plan is None:
            return dg.SkipReason(f"{spec.name} was never deployed")
        # Whoever committed it may have died before servers could read it.
        reconcile(spec.name)
        reports = rendezvous().reports(spec.name)
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
            return dg.SkipReason(
                f"{len(failed)} of {len(reports)} running servers cannot serve plan"
                f" {plan.generation}"
            )
        reason = f"no server can serve plan {plan.generation}: {failed[0].reason}"
        tags = {"failed_generation": str(plan.generation)}
        now = dt.datetime.now(dt.UTC).timestamp()
        attempt = next_attempt(context.instance, job.name, tags, now)
        if attempt is None:
            return dg.SkipReason(
                f"a rollback of plan {plan.generation} is under way, is asked for again"
                " later, or found nothing to return to"
            )
        again = f":{attempt}" if attempt > 1 else ""
        return dg.RunRequest(
            run_key=f"{spec.name}:{plan.generation}{again}",
            run_config={"ops": {op: {"config": {"reason": reason}}}},
            tags=tags,
        )

    return sensor
