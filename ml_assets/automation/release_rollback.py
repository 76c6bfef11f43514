"""``release_rollback``: the job that takes production to a release of before."""

from typing import Any

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import who_runs
from ml_assets.assets.delivery import release_key
from ml_assets.assets.delivery_runs import act_on


class ReleaseRollbackConfig(dg.Config):
    """Options of a run."""

    to: str | None = Field(
        None, description="version or digest; the one before today's by default"
    )
    reason: str = Field("asked for", description="why, for the ledger")


def build() -> dg.Definitions:
    """The job."""

    @dg.op(
        name="release__roll_back",
        description="Returns production to a release of before.",
        out=dg.Out(dg.Nothing),
    )
    def roll_back_release(
        context: dg.OpExecutionContext, config: ReleaseRollbackConfig
    ) -> None:
        from ml_assets.core.storage import storage_root
        from ml_assets.delivery.rollback import roll_back

        run = context.run
        # A run that took the place of a dead one goes on with its attempt.
        key = f"rollback:{run.root_run_id or run.run_id}"

        def act() -> Any:
            who, why, root = who_runs(context), config.reason, storage_root()
            return roll_back(root, who, why, config.to, key, run.run_id)

        done = act_on(context, act)
        if not done.is_deployed:
            raise dg.Failure(done.entry.why, allow_retries=False)
        context.log_event(
            dg.AssetMaterialization(
                release_key("production"),
                description=f"rollback: {config.reason}",
                metadata={
                    "digest": done.entry.version,
                    "version": str(done.entry.evidence["name"]),
                    "before": str(done.entry.evidence["from"]),
                    "entry": done.entry.seq,
                },
                tags={"dagster/data_version": done.entry.version},
            )
        )

    @dg.job(
        name="release_rollback",
        description="Returns production to a release of before.",
    )
    def release_rollback() -> None:
        roll_back_release()

    return dg.Definitions(jobs=[release_rollback])
