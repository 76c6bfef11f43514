"""Plans that are active with no more of the ledger than a test needs."""

import hashlib
from pathlib import Path

import msgspec

from ml_assets.core.storage import Storage, storage
from ml_assets.records.plan import Arm, ServingPlan, Signature
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.targets import Rollout, Target


def numbered_plan(
    generation: int, version: str = "a", model: str = "churn"
) -> ServingPlan:
    """A plan that serves one version, whose bundle nobody reads."""
    arm = Arm(version=version, bundle=f"b/{version}", files={}, runtime="compiled")
    return ServingPlan(
        model=model,
        generation=generation,
        arms=(arm,),
        created_at="2026-11-23T02:00:00+00:00",
        reason="test",
    )


def keep_signature(bundle: str, signature: Signature) -> dict[str, str]:
    """Write the one file of a bundle that says what it answers; its digest."""
    content = msgspec.json.encode(signature)
    storage().create(f"{bundle}/signature.json", content)
    return {"signature.json": hashlib.sha256(content).hexdigest()}


def published(root: Path | str) -> PublishedPlans:
    """The plans that servers read in a storage, a directory or a URL."""
    return PublishedPlans(Storage(str(root)))


def commit(plan: ServingPlan) -> None:
    """Make `plan` the active one, and let servers read it."""
    with writing(plan.model) as connection:
        plans.commit(connection, plan)
    plans.publish(plan.model)


def apply(target: Target, plan: ServingPlan) -> Rollout:
    """Roll `plan` out with `target`, and commit it there."""
    return target.apply(plan, lambda: commit(plan))
