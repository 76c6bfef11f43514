"""``<model>_rollback``: the job that returns to a version that served before.

The sensor ``health`` starts it when no running server can serve the active plan.
"""

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, who_runs
from ml_assets.assets.retries import retrying, verdict
from ml_assets.spec.model import ModelSpec


class RollbackConfig(dg.Config):
    """Options of a run."""

    to: str | None = Field(
        None, description="version to return to; the one before today's by default"
    )
    reason: str = Field("asked for", description="why, for the ledger")


def op_name(model: str) -> str:
    """Name of the op that rolls `model` back."""
    return f"{model}__roll_back"


def build(spec: ModelSpec) -> dg.Definitions:
    """The job of one model."""

    @dg.op(
        name=op_name(spec.name),
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
        executor_def=dg.in_process_executor,
    )
    def rollback_job() -> None:
        roll_back()

    return dg.Definitions(jobs=[rollback_job])
