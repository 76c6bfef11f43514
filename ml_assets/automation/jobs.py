"""The asset jobs of a model, and their schedules."""

import zlib
from typing import Any

import dagster as dg

from ml_assets.assets.common import DEPLOY_STAGES, TRAIN_STAGES, key
from ml_assets.assets.model_job import define_model_job
from ml_assets.automation.pods import executor_of, pod_tags
from ml_assets.core.files import home
from ml_assets.core.storage import storage
from ml_assets.lifecycle.drift_reports import raw_to_compare
from ml_assets.prediction_log.segments import Kind, waiting
from ml_assets.serving.log.shipping import orphans
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans

MONITOR_STAGES = ("predictions", "labels", "drift", "performance", "experiment")
# A run whose process is gone is noticed after this time, and then started again.
MAX_SECONDS = {"train": 6 * 3600, "deploy": 15 * 60}
QUARTER = 15


def build(spec: ModelSpec) -> dg.Definitions:
    """Jobs and schedules of one model."""
    train = _job(
        spec, "train", TRAIN_STAGES, "Trains a version and puts it to the gate."
    )
    deploy = _job(spec, "deploy", DEPLOY_STAGES, "Puts a passing version in service.")
    monitor = _job(
        spec,
        "monitor",
        MONITOR_STAGES,
        "Compacts the log, looks for drift, and applies the experiment's verdict.",
    )
    replay = _job(
        spec, "replay", ("replay",), "Scores logged requests with a new version."
    )
    schedules = []
    if spec.automation.monitor:
        schedules.append(monitor_schedule(spec, monitor))
    if spec.schedule is not None:
        schedules.append(_training_schedule(spec, train))
    return dg.Definitions(jobs=[train, deploy, monitor, replay], schedules=schedules)


def _job(spec: ModelSpec, name: str, stages: tuple[str, ...], description: str) -> Any:
    seconds = MAX_SECONDS.get(name)
    limit = {"dagster/max_runtime": str(seconds)} if seconds else {}
    return define_model_job(
        spec.name,
        name,
        selection=dg.AssetSelection.assets(*(key(spec, stage) for stage in stages)),
        description=description,
        tags={**limit, **pod_tags(spec)},
        executor_def=executor_of(spec),
    )


def _training_schedule(spec: ModelSpec, job: Any) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        f"{spec.name}_schedule",
        job=job,
        cron_schedule=spec.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Trains {spec.name} at '{spec.schedule}' UTC.",
    )


def monitor_schedule(spec: ModelSpec, job: Any) -> dg.ScheduleDefinition:
    """Every quarter of an hour while a challenger is tried, else every hour.

    A tick that finds nothing new lists two directories. Models have minutes of their
    own, so that they do not all start at once.
    """
    first = zlib.crc32(spec.name.encode()) % QUARTER
    minutes = ",".join(str(first + QUARTER * quarter) for quarter in range(4))

    @dg.schedule(
        name=f"{spec.name}_monitor_schedule",
        job=job,
        cron_schedule=f"{minutes} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Watches {spec.name}: hourly where there is something new, and every"
            f" {QUARTER} minutes while a challenger is under test."
        ),
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        due = context.scheduled_execution_time
        reason = why_not(spec, is_hour=due.minute == first)
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return schedule


def why_not(spec: ModelSpec, is_hour: bool) -> str:
    """Why there is nothing to watch now; empty where there is."""
    plan = Plans().current(spec.name)
    if plan is None:
        return f"{spec.name} was never deployed"
    if plan.experiment is not None:
        return ""
    if not is_hour:
        return "no challenger is under test"
    kinds: tuple[Kind, ...] = ("predictions", "labels")
    shipped = any(True for kind in kinds for _ in waiting(storage(), spec.name, kind))
    # What a server of this machine did not ship before it died is taken over.
    if (
        shipped
        or any(orphans(home(), spec.name))
        or raw_to_compare(spec, plan) is not None
    ):
        return ""
    return "nothing was logged since the last run"
