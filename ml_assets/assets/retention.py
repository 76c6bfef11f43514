"""``<model>/retention``: what nothing needs any more, removed every day."""

import time
import zlib
from collections import Counter

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, stage_arguments
from ml_assets.assets.model_job import define_model_job
from ml_assets.spec.model import ModelSpec

HOUR = 4
SHOWN = 20


class RetentionConfig(dg.Config):
    """Options of a run."""

    dry_run: bool = Field(False, description="only show what would go")


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset, its job and its daily schedule."""
    policy = spec.retention

    @dg.asset(
        **stage_arguments(spec, "retention", "python"),
        description=(
            f"What was removed of {spec.name}: old versions, tables, reports and"
            " predictions that nothing in use refers to."
        ),
    )
    def retention(
        context: dg.AssetExecutionContext, config: RetentionConfig
    ) -> dg.MaterializeResult[None]:
        from ml_assets.lifecycle.cleanup import clean
        from ml_assets.targets import configured_target

        cleaned = clean(
            configured_target(), spec.name, policy, time.time(), config.dry_run
        )
        for text in cleaned.postponed:
            context.log.warning(f"put off: {text}")
        rows = [
            f"| {item.kind} | {item.name} | {item.reason} |"
            for item in cleaned.deletions[:SHOWN]
        ]
        kinds = [item.kind for item in cleaned.deletions]
        head = ["| what | name | why |", "| --- | --- | --- |"]
        return dg.MaterializeResult(
            metadata={
                "dry_run": cleaned.dry_run,
                "removed": len(cleaned.deletions),
                "bytes": cleaned.bytes,
                "put_off": len(cleaned.postponed),
                "kinds": dg.MetadataValue.json(dict(Counter(kinds))),
                "items": dg.MetadataValue.md("\n".join(head + rows)),
            }
        )

    job = define_model_job(
        spec.name,
        "retention",
        selection=dg.AssetSelection.assets(key(spec, "retention")),
        description=f"Removes of {spec.name} what nothing needs any more.",
    )
    schedule = dg.ScheduleDefinition(
        f"{spec.name}_retention_schedule",
        job=job,
        # Models have minutes of their own, so that they do not all start at once.
        cron_schedule=f"{zlib.crc32(spec.name.encode()) % 60} {HOUR} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Removes daily of {spec.name} what nothing needs any more.",
    )
    return dg.Definitions(assets=[retention], jobs=[job], schedules=[schedule])
