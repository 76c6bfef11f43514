"""``runs/retention``: old runs of this code location, removed every day."""

import time
from collections.abc import Iterable

import dagster as dg
from pydantic import Field

from ml_assets.lifecycle.run_retention import MOST, REPOSITORY, RUN_DAYS

DAILY = "30 4 * * *"
NAME = "runs_retention"
# Dagster's name of a run for assets that are chosen by hand.
ASSET_JOB = "__ASSET_JOB"


class RunRetentionConfig(dg.Config):
    """Options of a run."""

    days: float = Field(RUN_DAYS, ge=1, description="of runs that ended since are kept")
    most: int = Field(MOST, ge=1, description="runs that go at most")


def build(jobs: Iterable[str]) -> dg.Definitions:
    """The asset, its job and its daily schedule; `jobs` are the code location's."""
    ours = frozenset({*jobs, NAME, ASSET_JOB})

    @dg.asset(
        key=["runs", "retention"],
        group_name="runs",
        owners=["team:ml-platform"],
        kinds={"python"},
        description=(
            "What was removed of old runs: their events and the logs of their steps."
            " Nothing goes that lineage, a sensor or an asset's newest state needs."
        ),
    )
    def retention(
        context: dg.AssetExecutionContext, config: RunRetentionConfig
    ) -> dg.MaterializeResult[None]:
        from ml_assets.lifecycle.run_retention import Owner, purge

        owner = Owner(context.run.tags.get(REPOSITORY), ours)
        now = time.time()
        done = purge(context.instance, owner, now, config.days, config.most)
        return dg.MaterializeResult(metadata=done._asdict())

    job = dg.define_asset_job(
        NAME,
        selection=dg.AssetSelection.assets(["runs", "retention"]),
        description="Removes old runs that nothing needs any more.",
    )
    schedule = dg.ScheduleDefinition(
        f"{NAME}_schedule",
        job=job,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes daily old runs that nothing needs any more.",
    )
    return dg.Definitions(assets=[retention], jobs=[job], schedules=[schedule])
