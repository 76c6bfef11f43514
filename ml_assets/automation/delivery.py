"""What moves releases by itself: the jobs, and a sensor for each environment."""

from typing import Any

import dagster as dg

from ml_assets.assets.delivery import release_key
from ml_assets.lifecycle.run_events import DELIVERY_TAG
from ml_assets.spec.reserved import RELEASE

STAGING_SECONDS = 60
PRODUCTION_SECONDS = 30
MAX_SECONDS = 2 * 3600
# So many runs are asked for until one tells the ledger how it ended.
TRIES = 3
OVER = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
}
GOING_ON = [status for status in dg.DagsterRunStatus if status not in OVER]
# Key of what a run is for to the options of its asset.
Wanted = dict[str, dict[str, Any]]


def build() -> dg.Definitions:
    """Jobs and sensors."""
    staging = _job("staging", "Deploys a release in staging and checks it.")
    approval = _job("approval", "Lets a version into production.")
    production = _job("production", "Deploys an approved version in production.")
    return dg.Definitions(
        jobs=[staging, approval, production],
        sensors=[_staging_sensor(staging), _production_sensor(production)],
    )


def _job(name: str, description: str) -> Any:
    return dg.define_asset_job(
        f"{RELEASE}_{name}",
        selection=dg.AssetSelection.assets(release_key(name)),
        description=description,
        tags={"dagster/max_runtime": str(MAX_SECONDS)},
    )


def _staging_sensor(job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{RELEASE}_staging_sensor",
        job=job,
        minimum_interval_seconds=STAGING_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has every new image of main, and of versions, tried in staging.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from ml_assets.delivery.requests import look

        seen = look()
        if seen.problem is not None:
            return dg.SensorResult(skip_reason=seen.problem)
        events = [
            dg.AssetObservation(
                release_key("image"),
                metadata={
                    "tag": name,
                    "digest": image.digest,
                    "commit": image.commit,
                    "version": image.version,
                    "created": image.created,
                    "images": image.images,
                },
                tags={"dagster/data_version": image.digest},
            )
            for name, image in seen.moved.items()
        ]
        wanted: Wanted = {
            f"staging:{image.digest}": {"release": image.digest}
            for image in seen.untried
        }
        asked = _ask(context, "staging", wanted) if wanted else "no new image"
        return dg.SensorResult(
            run_requests=[asked] if isinstance(asked, dg.RunRequest) else [],
            skip_reason=asked if isinstance(asked, str) else None,
            asset_events=events,
        )

    return sensor


def _production_sensor(job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{RELEASE}_production_sensor",
        job=job,
        minimum_interval_seconds=PRODUCTION_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has an approved version deployed in production.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from ml_assets.delivery.requests import open_approval

        found = open_approval()
        if isinstance(found, str):
            return dg.SkipReason(found)
        asked = _ask(context, "production", {found.key: {}})
        return dg.SkipReason(asked) if isinstance(asked, str) else asked

    return sensor


def _ask(
    context: dg.SensorEvaluationContext, name: str, wanted: Wanted
) -> dg.RunRequest | str:
    """A run for the first key that may have one, or why none is asked for.

    A run that died, or gave up because something did not answer, left no entry in the
    ledger: then another one is asked for. Releases go one after the other.
    """
    going_on = dg.RunsFilter(job_name=f"{RELEASE}_{name}", statuses=GOING_ON)
    for run in context.instance.get_runs(going_on, limit=1):
        return f"run {run.run_id} goes on"
    op = "__".join(release_key(name).path)
    for key, config in wanted.items():
        runs = context.instance.get_runs(dg.RunsFilter(tags={DELIVERY_TAG: key}))
        if len(runs) < TRIES:
            return dg.RunRequest(
                run_key=f"{key}:{len(runs)}",
                run_config={"ops": {op: {"config": config}}},
                tags={DELIVERY_TAG: key},
            )
    return f"{TRIES} runs did not come to an end with {', '.join(wanted)}"
