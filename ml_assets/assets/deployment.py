"""``<model>/deployment``: the version that serves, and the check of its ledger."""

from typing import Any

import dagster as dg
import msgspec
from pydantic import Field

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    key,
    skipped,
    stage_arguments,
    who_runs,
)
from ml_assets.assets.retries import retrying, verdict
from ml_assets.lifecycle.activation import roll_out_again
from ml_assets.lifecycle.audit import audit
from ml_assets.lifecycle.deployment import DoneError, RefusedError, deploy
from ml_assets.lifecycle.plan_transitions import newest_version
from ml_assets.ml.gate import INTERFACE
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import UnknownVersionError
from ml_assets.targets import Rollout, RolloutError, configured_target

# Findings of the check ``ledger`` that its description names.
SHOWN = 5


class DeploymentConfig(dg.Config):
    """Options of a run."""

    version: str | None = Field(
        None, description="by default the newest that passed its gate"
    )
    accept_interface_change: bool = Field(
        False, description="also a version that refuses requests that are answered now"
    )
    reapply: bool = Field(
        False, description="the active plan once more, and no other version"
    )


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that rolls a version out, and the check ``ledger``."""

    @dg.asset(
        **stage_arguments(spec, "deployment", "python"),
        description=f"The version of {spec.name} that answers requests.",
        deps=[key(spec, "evaluation")],
        **MAY_SKIP,
    )
    def deployment(
        context: dg.AssetExecutionContext, config: DeploymentConfig
    ) -> Events:
        run_id, who = context.run.run_id, who_runs(context)
        try:
            with retrying(context):
                if config.reapply:
                    again = roll_out_again(configured_target(), spec.name)
                    yield skipped(spec, "deployment", _describe_again(again))
                    return
                overruled = [INTERFACE] if config.accept_interface_change else []
                rollout = deploy(
                    spec, configured_target(), config.version, run_id, who, overruled
                )
        except DoneError as reason:
            context.log.info(str(reason))
            yield skipped(spec, "deployment", str(reason))
            return
        except (RefusedError, RolloutError, UnknownVersionError) as error:
            raise verdict(context, error) from error
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(newest_version(rollout.plan)),
            metadata=describe(rollout),
        )

    return dg.Definitions(assets=[deployment], asset_checks=[_ledger_check(spec)])


def _ledger_check(spec: ModelSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="ledger",
        asset=key(spec, "deployment"),
        description=(
            f"No entry in the ledger of {spec.name} was edited or is missing, and the"
            " plans and the registry's aliases are those of its entries."
        ),
    )
    def ledger() -> dg.AssetCheckResult:
        found = audit(spec.name)
        entries = Ledger().entries(spec.name)
        serious = any(finding.is_serious for finding in found)
        return dg.AssetCheckResult(
            passed=not found,
            severity=(
                dg.AssetCheckSeverity.ERROR if serious else dg.AssetCheckSeverity.WARN
            ),
            description=(
                "; ".join(finding.message for finding in found[:SHOWN])
                or f"{len(entries)} entries, all as they were written"
            ),
            metadata={
                "entries": len(entries),
                "head": entries[-1].hash if entries else "",
            },
        )

    return ledger


def _describe_again(rollout: Rollout) -> str:
    plan, servers = rollout
    return f"plan {plan.generation} is rolled out again, on {servers} server(s)"


def describe(rollout: Rollout) -> dict[str, Any]:
    """What the UI shows of a rollout."""
    plan = rollout.plan
    tried = {"challenger": plan.experiment} if plan.experiment else {}
    return {
        **tried,
        "version": plan.live.version,
        "generation": plan.generation,
        "runtime": plan.live.runtime,
        "servers": rollout.servers,
        "reason": plan.reason,
        "plan": dg.MetadataValue.json(msgspec.to_builtins(plan)),
    }
