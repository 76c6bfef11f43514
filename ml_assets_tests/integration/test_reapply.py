"""The job that deploys a model rolls the active plan out again where it is asked to."""

from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.state.plans import Plans
from ml_assets_tests.kits.plans import commit, numbered_plan

AGAIN = {"churn__deployment": {"config": {"reapply": True}}}


def test_the_active_plan_is_rolled_out_again_and_nothing_is_deployed(
    make_spec: Any, home: Path, run_job: Any, instance: dg.DagsterInstance
) -> None:
    commit(numbered_plan(1))
    assert run_job(make_spec(), "deploy", AGAIN).success
    assert len(Plans().history("churn")) == 1
    asset = dg.AssetKey(["churn", "deployment"])
    assert instance.get_latest_materialization_event(asset) is None
    (record,) = instance.fetch_observations(asset, limit=1).records
    observation = record.asset_observation
    assert observation is not None
    assert observation.metadata["skipped"].value == (
        "plan 1 is rolled out again, on 0 server(s)"
    )


def test_a_model_that_is_not_in_service_is_a_verdict_that_nobody_repeats(
    make_spec: Any,
    home: Path,
    run_job: Any,
) -> None:
    result = run_job(make_spec(), "deploy", AGAIN)
    assert not result.success
    assert result.dagster_run.tags["ml-assets/verdict"] == "RolloutError"
    failure = result.failure_data_for_node("churn__deployment")
    assert failure is not None and "churn is not in service" in str(failure)
