"""Releases in the code location: assets, jobs, and a sensor for each environment."""

from typing import Any

import dagster as dg
from pydantic import Field

from ml_assets.assets import delivery as assets
from ml_assets.assets import release_smoke
from ml_assets.assets.common import who_runs
from ml_assets.assets.delivery import release_key, retrying_outages
from ml_assets.lifecycle.run_events import DELIVERY_TAG, UNFINISHED
from ml_assets.spec.reserved import RELEASE

STAGING_SECONDS = 60
PRODUCTION_SECONDS = 30
MAX_SECONDS = 2 * 3600
# So many runs are asked for until one writes into the ledger how it ended.
TRIES = 3
# Key of what a run is for to the options of its asset.
Wanted = dict[str, dict[str, Any]]


class ReleaseRollbackConfig(dg.Config):
    """Options of a run."""

    to: str | None = Field(
        None, description="version or digest; the one before the current by default"
    )
    reason: str = Field("asked for", description="why, for the ledger")


def build() -> dg.Definitions:
    """The assets with their checks, the jobs and the sensors."""
    staging = _job("staging", "Deploys a release in staging and checks it.")
    approval = _job("approval", "Records the approval of a version for production.")
    production = _job("production", "Deploys an approved version in production.")
    own = dg.Definitions(
        jobs=[staging, approval, production, _rollback_job()],
        sensors=[_staging_sensor(staging), _production_sensor(production)],
    )
    return dg.Definitions.merge(assets.build(), own, release_smoke.build())


def _job(name: str, description: str) -> Any:
    return dg.define_asset_job(
        f"{RELEASE}_{name}",
        selection=dg.AssetSelection.assets(release_key(name)),
        description=description,
        tags={"dagster/max_runtime": str(MAX_SECONDS)},
    )


def _rollback_job() -> dg.JobDefinition:
    description = "Returns production to an earlier release."

    @dg.op(
        name="release__roll_back",
        description=description,
        out=dg.Out(dg.Nothing),
    )
    def roll_back_release(
        context: dg.OpExecutionContext, config: ReleaseRollbackConfig
    ) -> None:
        from ml_assets.delivery.promotion import roll_back

        run = context.run
        # A run that replaces a dead one goes on with its attempt.
        key = f"rollback:{run.root_run_id or run.run_id}"

        def act() -> Any:
            who, why = who_runs(context), config.reason
            return roll_back(who, why, config.to, key, run.run_id)

        done = retrying_outages(context, act)
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

    @dg.job(name="release_rollback", description=description)
    def release_rollback() -> None:
        roll_back_release()

    return release_rollback


def _staging_sensor(job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{RELEASE}_staging_sensor",
        job=job,
        minimum_interval_seconds=STAGING_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a staging run for each new image of main and versions.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from ml_assets.delivery.candidates import poll_registry

        poll = poll_registry()
        if poll.problem is not None:
            return dg.SensorResult(skip_reason=poll.problem)
        events = [
            dg.AssetObservation(
                release_key("image"),
                metadata={
                    "tag": name,
                    "digest": release.digest,
                    "commit": release.commit,
                    "version": release.version,
                    "created": release.created,
                    "images": release.images,
                },
                tags={"dagster/data_version": release.digest},
            )
            for name, release in poll.moved.items()
        ]
        wanted: Wanted = {
            f"staging:{release.digest}": {"release": release.digest}
            for release in poll.untried
        }
        asked = _request(context, "staging", wanted) if wanted else "no new image"
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
        description="Requests a production run for an approved version.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from ml_assets.delivery.candidates import open_approval

        found = open_approval()
        if isinstance(found, str):
            return dg.SkipReason(found)
        asked = _request(context, "production", {found.key: {}})
        return dg.SkipReason(asked) if isinstance(asked, str) else asked

    return sensor


def _request(
    context: dg.SensorEvaluationContext, name: str, wanted: Wanted
) -> dg.RunRequest | str:
    """A run for the first key that may have one, or why none is asked for.

    A run that died, or gave up because something did not answer, left no entry in the
    ledger: then another one is asked for. Releases go one after the other.
    """
    unfinished = dg.RunsFilter(job_name=f"{RELEASE}_{name}", statuses=UNFINISHED)
    for run in context.instance.get_runs(unfinished, limit=1):
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
