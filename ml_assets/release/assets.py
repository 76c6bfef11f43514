"""``release/image``, ``staging``, ``approval``, ``production``: an image on its way."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import who_runs
from ml_assets.ledger import RELEASE
from ml_assets.release.checks import SENTENCES, not_tried
from ml_assets.release.refusals import DoneError, RefusedError
from ml_assets.release.tags import MAIN

OWNERS = ["team:ml-platform"]
# A registry, a cluster or a database that does not answer is asked again, so often.
TRIES, WAIT_SECONDS = 5, 60
Events = Iterator[Any]
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
            check, asset=release_key(name), blocking=True, description=sentence
        )
        for check, sentence in SENTENCES.items()
    ]


def _staging() -> dg.AssetsDefinition:
    @dg.asset(
        key=release_key("staging"),
        group_name=RELEASE,
        owners=OWNERS,
        kinds={"kubernetes"},
        deps=[release_key("image")],
        description="The release in staging, put in force there and checked.",
        check_specs=_checks("staging"),
        dagster_type=NOTHING,
        output_required=False,
    )
    def staging(
        context: dg.AssetExecutionContext, config: StagingConfig
    ) -> Iterator[Any]:
        from ml_assets.release.images import ImageStore, find
        from ml_assets.release.registry import repository
        from ml_assets.release.staging import stage
        from ml_assets.storage import storage_root

        def act() -> Any:
            root = storage_root()
            image = find(repository(), ImageStore(root), config.release)
            return stage(
                root, image, who_runs(context), context.run.run_id, config.again
            )

        yield from _told(context, "staging", act)

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
        from ml_assets.release.approvals import approve
        from ml_assets.release.registry import repository
        from ml_assets.storage import storage_root

        who = f"user {config.who}, run {context.run.run_id}"

        def act() -> Any:
            return approve(
                storage_root(), repository(), config.release, who, config.reason
            )

        given, staging = _act(context, act)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(given.hash),
            metadata={
                "version": str(given.evidence["name"]),
                "digest": given.version,
                "who": given.who,
                "why": given.why,
                "entry": given.seq,
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
        from ml_assets.release.production import promote
        from ml_assets.release.registry import repository
        from ml_assets.storage import storage_root

        def act() -> Any:
            return promote(
                storage_root(),
                repository(),
                config.release,
                who_runs(context),
                context.run.run_id,
            )

        yield from _told(context, "production", act)

    return production


def _told(
    context: dg.AssetExecutionContext, name: str, act: Callable[[], Any]
) -> Events:
    """The events of a delivery: its checks, and what is in force, or a failure."""
    try:
        done = _act(context, act)
    except DoneError as reason:
        context.log.info(str(reason))
        yield dg.AssetObservation(release_key(name), metadata={"skipped": str(reason)})
        return
    entry = done.entry
    for finding in done.findings or not_tried(entry.why):
        yield dg.AssetCheckResult(
            check_name=finding.name,
            asset_key=release_key(name),
            passed=finding.passed,
            description=finding.sentence,
            metadata={**finding.figures, "digest": entry.version},
        )
    if not done.is_in_force:
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


def _act(context: dg.AssetExecutionContext, act: Callable[[], Any]) -> Any:
    """Do it; what passes is tried again, and what does not is a failure."""
    from ml_assets.release.environments import SettingsError
    from ml_assets.release.images import IncompleteError, UnknownReleaseError
    from ml_assets.release.oci_http import (
        RegistryRefusedError,
        RegistryUnavailableError,
    )
    from ml_assets.release.records import StaleError
    from ml_assets.resources.clusters import ClusterError, OvertakenError
    from ml_assets.resources.database import LockError

    try:
        return act()
    except (RegistryUnavailableError, ClusterError, LockError) as error:
        context.log.warning(f"it is tried again: {error}")
        raise dg.RetryRequested(TRIES, WAIT_SECONDS) from error
    except (
        IncompleteError,
        OvertakenError,
        RefusedError,
        RegistryRefusedError,
        SettingsError,
        StaleError,
        UnknownReleaseError,
    ) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
