"""A model that is retired on one machine, and what brings it back."""

import json
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import storage
from ml_assets.lifecycle.audit import audit
from ml_assets.lifecycle.holds import HoldError, hold, unhold
from ml_assets.lifecycle.retirement import retire
from ml_assets.lifecycle.rollback import RollbackError, rollback
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.integration.test_records import (
    SMALL,
    Run,
    kinds,
    serving,
    three_versions,
    train_and_deploy,
    versions,
)
from ml_assets_tests.kits.cli import invoke

__all__ = ["three_versions", "versions"]
pytestmark = pytest.mark.slow


def test_a_retired_model_comes_back_by_a_rollback_or_by_a_newer_version(
    versions: list[str], make_spec: Any, run_job: Run, home: Path
) -> None:
    third, target, spec = versions[2], LocalTarget(), make_spec(**SMALL)
    said = invoke("retire", "churn", "--reason", "no use").output
    assert "churn is retired" in said
    assert kinds(home) == ["deployment"] * 3 + ["retirement", "hold"]
    assert audit("churn") == [] and Plans().late() == []
    (row,) = [
        row
        for row in json.loads(invoke("models", "--json").stdout)["models"]
        if row["model"] == "churn"
    ]
    assert row["champion"] is None and row["versions"] == 3
    published = PublishedPlans(storage()).current("churn")
    assert published is not None and published.arms == ()

    # Neither a deployment of what served nor of what is on hold brings it back.
    assert run_job(spec, "deploy").success
    assert Plans().is_retired("churn")
    with pytest.raises(RollbackError, match=f"{third} of churn is on hold since"):
        rollback(target, "churn", "user ana", "back", to=third)

    unhold(target, "churn", third, "user ana", "wanted after all")
    rollback(target, "churn", "user ana", "back", to=third)
    assert serving(home) == (4, third) and not Plans().is_retired("churn")
    with pytest.raises(HoldError, match="is in service, as plan 4"):
        hold(target, "churn", third, "user ana", "check")

    retire(target, "churn", "user ana", "no use")
    newest = train_and_deploy(spec, run_job, home)
    assert serving(home) == (5, newest) and not Plans().is_retired("churn")
    assert {*Ledger().held("churn")} == {third}
    assert audit("churn") == []
