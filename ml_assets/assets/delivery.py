"""``release/image``, ``staging``, ``approval``, ``production``: a release, deployed."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import who_runs
from ml_assets.assets.retries import TRIES, WAIT_SECONDS
from ml_assets.delivery.checks import DESCRIPTIONS, CheckResult, not_tried
from ml_assets.delivery.errors import AlreadyDoneError, ReleaseError
from ml_assets.delivery.image_tags import MAIN
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE

OWNERS = ["team:ml-platform"]
NOTHING = cast(dg.DagsterType, dg.Nothing)


class StagingConfig(dg.Config):
    """Options of a run."""

    release: str = Field(MAIN, description="a tag such as main, or a digest")
    again: bool = Field(False, description="try one once more that failed")


class ApprovalConfig(dg.Config):
    """Options of a run."""

    release: str = Field(description="the version to approve, such as v1.2.3")
    reason: str = Field(description="why, for the ledger")
    who: str = Field(description="who approves, for the ledger")


class ProductionConfig(dg.Config):
    """Options of a run."""

    release: str | None = Field(
        None, description="the version; that of the last approval by default"
    )


def release_key(name: str) -> dg.AssetKey:
    """Key of an asset of releases: ``release/<name>``."""
    return dg.AssetKey([RELEASE, name])


def build() -> dg.Definitions:
    """The assets, with the checks that a release must pass."""
    image = dg.AssetSpec(
        release_key("image"),
        group_name=RELEASE,
        owners=OWNERS,
        kinds={"docker"},
        description="The images in the registry: what tags point at, and their commit.",
    )
    return dg.Definitions(assets=[image, _staging(), _approval(), _production()])


def _checks(name: str) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            check, asset=release_key(name), blocking=True, description=description
        )
        for check, description in DESCRIPTIONS.items()
    ]


def _staging() -> dg.AssetsDefinition:
    @dg.asset(
        key=release_key("staging"),
        group_name=RELEASE,
        owners=OWNERS,
        kinds={"kubernetes"},
        deps=[release_key("image")],
        description="The release in staging, deployed there and checked.",
        check_specs=_checks("staging"),
        dagster_type=NOTHING,
        output_required=False,
    )
    def staging(
        context: dg.AssetExecutionContext, config: StagingConfig
    ) -> Iterator[Any]:
        from ml_assets.delivery.environments import repository
        from ml_assets.delivery.promotion import stage
        from ml_assets.delivery.releases import find

        def act() -> Any:
            registry = repository()
            release = find(registry, config.release)
            who, run_id = who_runs(context), context.run.run_id
            return stage(registry, release, who, run_id, config.again)

        yield from _events(context, "staging", act)

    return staging


def _approval() -> dg.AssetsDefinition:
    @dg.asset(
        key=release_key("approval"),
        group_name=RELEASE,
        owners=OWNERS,
        kinds={"python"},
        deps=[release_key("staging")],
        description="A person lets a version into production: who, when and why.",
    )
    def approval(
        context: dg.AssetExecutionContext, config: ApprovalConfig
    ) -> dg.MaterializeResult[None]:
        from ml_assets.delivery.approvals import approve
        from ml_assets.delivery.environments import repository

        who = f"user {config.who}, run {context.run.run_id}"

        def act() -> Any:
            version, reason = config.release, config.reason
            return approve(repository(), version, who, reason)

        entry, staging = retrying_outages(context, act)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(entry.hash),
            metadata={
                "version": str(entry.evidence["name"]),
                "digest": entry.version,
                "who": entry.who,
                "why": entry.why,
                "entry": entry.seq,
                "staging": staging,
            },
        )

    return approval


def _production() -> dg.AssetsDefinition:
    @dg.asset(
        key=release_key("production"),
        group_name=RELEASE,
        owners=OWNERS,
        kinds={"kubernetes"},
        deps=[release_key("staging"), release_key("approval")],
        description="The version in production: approved, and passed in staging.",
        check_specs=_checks("production"),
        dagster_type=NOTHING,
        output_required=False,
    )
    def production(
        context: dg.AssetExecutionContext, config: ProductionConfig
    ) -> Iterator[Any]:
        from ml_assets.delivery.environments import repository
        from ml_assets.delivery.promotion import promote

        def act() -> Any:
            who, run_id = who_runs(context), context.run.run_id
            return promote(repository(), config.release, who, run_id)

        yield from _events(context, "production", act)

    return production


def _events(
    context: dg.AssetExecutionContext, name: str, act: Callable[[], Any]
) -> Iterator[Any]:
    """The events of a delivery: its checks, and what is deployed, or a failure."""
    try:
        done = retrying_outages(context, act)
    except AlreadyDoneError as reason:
        yield from _earlier_events(context, name, reason)
        return
    entry = done.entry
    yield from _check_results(name, entry, done.checks or not_tried(entry.why))
    if not done.is_deployed:
        raise dg.Failure(entry.why, allow_retries=False)
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(entry.version),
        metadata={
            "digest": entry.version,
            "version": str(entry.evidence["name"]),
            "commit": str(entry.evidence["commit"]),
            "images": entry.evidence["images"],
            "before": str(entry.evidence["from"]),
            "reason": entry.why,
            "entry": entry.seq,
        },
    )


def _earlier_events(
    context: dg.AssetExecutionContext, name: str, reason: AlreadyDoneError
) -> Iterator[Any]:
    """The events of a request that was done before: the same checks once more."""
    from ml_assets.delivery.deploy import results_in

    entry = reason.entry
    results = results_in(entry.evidence) if entry is not None else []
    if entry is None or not results or entry.kind == "release_failure":
        raise dg.Failure(str(reason), allow_retries=False)
    context.log.info(str(reason))
    yield dg.AssetObservation(release_key(name), metadata={"skipped": str(reason)})
    yield from _check_results(name, entry, results)


def _check_results(
    name: str, entry: Entry, results: list[CheckResult]
) -> Iterator[dg.AssetCheckResult]:
    for result in results:
        yield dg.AssetCheckResult(
            check_name=result.name,
            asset_key=release_key(name),
            passed=result.passed,
            description=result.sentence,
            metadata={**result.figures, "digest": entry.version, "entry": entry.seq},
        )


def retrying_outages(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, act: Callable[[], Any]
) -> Any:
    """The result of `act`; an outage is tried again, and what remains is a failure."""
    from ml_assets.delivery.oci_session import RegistryUnavailableError
    from ml_assets.state.locks import LockError
    from ml_assets.targets.clusters import ClusterError, OvertakenError

    try:
        return act()
    except (RegistryUnavailableError, ClusterError, LockError) as error:
        context.log.warning(f"it is tried again: {error}")
        raise dg.RetryRequested(TRIES, WAIT_SECONDS) from error
    except (OvertakenError, ReleaseError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
