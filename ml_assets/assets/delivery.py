"""``release/image``, ``staging``, ``approval``, ``production``: an image on its way."""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import who_runs
from ml_assets.assets.delivery_runs import act_on, told
from ml_assets.delivery.checks import SENTENCES
from ml_assets.delivery.tags import MAIN
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
        description="The release in staging, deployed there and checked.",
        check_specs=_checks("staging"),
        dagster_type=NOTHING,
        output_required=False,
    )
    def staging(
        context: dg.AssetExecutionContext, config: StagingConfig
    ) -> Iterator[Any]:
        from ml_assets.core.storage import storage_root
        from ml_assets.delivery.images import ImageStore, find
        from ml_assets.delivery.registry import repository
        from ml_assets.delivery.staging import stage

        def act() -> Any:
            root = storage_root()
            image = find(repository(), ImageStore(root), config.release)
            return stage(
                root, image, who_runs(context), context.run.run_id, config.again
            )

        yield from told(context, "staging", act)

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
        from ml_assets.core.storage import storage_root
        from ml_assets.delivery.approvals import approve
        from ml_assets.delivery.registry import repository

        who = f"user {config.who}, run {context.run.run_id}"

        def act() -> Any:
            return approve(
                storage_root(), repository(), config.release, who, config.reason
            )

        given, staging = act_on(context, act)
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
        from ml_assets.core.storage import storage_root
        from ml_assets.delivery.production import promote
        from ml_assets.delivery.registry import repository

        def act() -> Any:
            return promote(
                storage_root(),
                repository(),
                config.release,
                who_runs(context),
                context.run.run_id,
            )

        yield from told(context, "production", act)

    return production
