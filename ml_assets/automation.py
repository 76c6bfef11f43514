"""What runs a model by itself: its jobs, its weekly schedule and its gate sensor."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.assets.common import DEPLOY_STAGES, TRAIN_STAGES, key
from ml_assets.ml.gate import Gate, GateFigures
from ml_assets.model import ModelSpec

SENSOR_SECONDS = 15
BATCH = 50
# Events of a database with several writers can appear out of order; the sensor looks
# this many evaluations back, which is safe because a version is launched once only.
OVERLAP = 20


def build(spec: ModelSpec) -> dg.Definitions:
    """Jobs, schedule and sensor of one model."""
    train = _job(
        spec, "train", TRAIN_STAGES, "Trains a version and puts it to the gate."
    )
    deploy = _job(spec, "deploy", DEPLOY_STAGES, "Puts a passing version in service.")
    schedules = [] if spec.schedule is None else [_schedule(spec, train)]
    return dg.Definitions(
        jobs=[train, deploy], schedules=schedules, sensors=[gate_sensor(spec, deploy)]
    )


def _job(spec: ModelSpec, name: str, stages: tuple[str, ...], description: str) -> Any:
    return dg.define_asset_job(
        f"{spec.name}_{name}",
        selection=dg.AssetSelection.assets(*(key(spec, stage) for stage in stages)),
        description=description,
        tags={"model": spec.name},
    )


def _schedule(spec: ModelSpec, job: Any) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        f"{spec.name}_schedule",
        job=job,
        cron_schedule=spec.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Trains {spec.name} at '{spec.schedule}' UTC.",
    )


def gate_sensor(spec: ModelSpec, job: Any) -> dg.SensorDefinition:
    """Deploys every version that passes the gate, each exactly once.

    It walks the evaluations in the order of the event log, so that none is passed over
    however many came since the last tick, and asks for one run per version.
    """
    gate = Gate(spec.gate)
    deployment = "__".join(key(spec, "deployment").path)

    @dg.sensor(
        name=f"{spec.name}_gate",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Deploys a version of {spec.name} when it passes its gate.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = int(context.cursor or 0)
        newest, requests, refusals = seen, [], []
        for storage_id, metadata in _evaluations(context, spec, seen):
            version = str(metadata["version"].value)
            figures = GateFigures.from_dict(metadata["figures"].value)  # type: ignore[arg-type]
            decision = gate.decide(figures)
            newest = max(newest, storage_id)
            if decision.passed:
                requests.append(
                    dg.RunRequest(
                        run_key=f"{spec.name}:{version}",
                        run_config={
                            "ops": {deployment: {"config": {"version": version}}}
                        },
                        tags={"model": spec.name, "version": version},
                    )
                )
            elif storage_id > seen:
                refusals.append(f"version {version} is not deployed: {decision.reason}")
        for refusal in refusals:
            context.log.info(refusal)
        reason = "; ".join(refusals) or "no new evaluation"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(reason),
            cursor=str(newest),
        )

    return sensor


def _evaluations(
    context: dg.SensorEvaluationContext, spec: ModelSpec, seen: int
) -> Iterator[tuple[int, Any]]:
    """Storage id and metadata of evaluations, oldest first, from a little before `seen`."""
    evaluation = key(spec, "evaluation")
    filters = [
        (dg.AssetRecordsFilter(evaluation, before_storage_id=seen + 1), OVERLAP, False),
        (dg.AssetRecordsFilter(evaluation, after_storage_id=seen), BATCH, True),
    ]
    for records_filter, limit, ascending in filters:
        found = context.instance.fetch_materializations(
            records_filter, limit=limit, ascending=ascending
        ).records
        for record in found if ascending else reversed(found):
            materialization = record.asset_materialization
            if materialization is not None and "version" in materialization.metadata:
                yield record.storage_id, materialization.metadata
