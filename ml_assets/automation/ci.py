"""The job and the schedule that read how the workflows do on GitHub."""

import dagster as dg

from ml_assets.assets.ci import KEY, ci

NAME = "delivery_ci"
MINUTES = 15
MAX_SECONDS = 15 * 60


def build() -> dg.Definitions:
    """The asset, its job, and its schedule, which skips where no repository is set."""
    job = dg.define_asset_job(
        NAME,
        selection=dg.AssetSelection.assets(KEY),
        description="Reads the workflows of the main branch from GitHub.",
        tags={"dagster/max_runtime": str(MAX_SECONDS)},
    )

    @dg.schedule(
        name=f"{NAME}_schedule",
        job=job,
        cron_schedule=f"*/{MINUTES} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads GitHub's workflows, where ML_ASSETS_CI_REPOSITORY is set.",
    )
    def schedule() -> dg.RunRequest | dg.SkipReason:
        from ml_assets.delivery.ci_status import ci_settings
        from ml_assets.delivery.environments import SettingsError

        try:
            ci_settings()
        except SettingsError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest()

    return dg.Definitions(assets=[ci], jobs=[job], schedules=[schedule])
