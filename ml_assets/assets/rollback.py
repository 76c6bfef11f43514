"""``<model>_rollback``: the job that returns to a version that served before."""

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, who_runs
from ml_assets.model import ModelSpec


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
        from ml_assets.rollback import RollbackError, rollback
        from ml_assets.storage import storage_root
        from ml_assets.targets import RolloutError
        from ml_assets.targets.local import LocalTarget
        from ml_assets.versions import UnknownVersionError

        run_id = context.run.run_id
        try:
            done = rollback(
                LocalTarget(storage_root()),
                spec.name,
                who_runs(context),
                config.reason,
                config.to,
                key=f"rollback:{run_id}",
                run_id=run_id,
            )
        except (RollbackError, RolloutError, UnknownVersionError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
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

    return dg.Definitions(jobs=[rollback_job])
