"""The check ``ledger``: whether what was decided is still what is written."""

import dagster as dg

from ml_assets.assets.common import key
from ml_assets.spec.model import ModelSpec

SHOWN = 5


def build(spec: ModelSpec) -> dg.Definitions:
    """The check of one model."""

    @dg.asset_check(
        name="ledger",
        asset=key(spec, "deployment"),
        description=(
            f"No entry in the ledger of {spec.name} was edited or is missing, and the"
            " plans and the registry's aliases are those that it tells of."
        ),
    )
    def ledger() -> dg.AssetCheckResult:
        from ml_assets.core.storage import storage_root
        from ml_assets.lifecycle.audit import audit
        from ml_assets.state.ledger import Ledger
        from ml_assets.targets import configured_target

        found = audit(configured_target(), spec.name)
        entries = Ledger(storage_root()).entries(spec.name)
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

    return dg.Definitions(asset_checks=[ledger])
