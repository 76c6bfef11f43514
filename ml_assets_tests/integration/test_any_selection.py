"""What a person may click in the UI ends well, whatever there is to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets_tests.conftest import definitions_of, failure_of

STAGES = (
    *("raw", "features", "model", "evaluation", "deployment", "monitoring"),
    *("predictions", "labels", "drift", "performance", "experiment", "replay"),
    "retention",
)


@pytest.fixture
def materialize(
    instance: dg.DagsterInstance, registry: Path, make_spec: Callable[..., Any]
) -> Callable[..., dg.ExecuteInProcessResult]:
    spec = make_spec()
    job = definitions_of(spec).resolve_implicit_global_asset_job_def()

    def run(*stages: str) -> dg.ExecuteInProcessResult:
        keys = [dg.AssetKey([spec.name, stage]) for stage in stages]
        return job.execute_in_process(
            instance=instance, asset_selection=keys, raise_on_error=False
        )

    return run


def test_the_stages_are_all_that_a_model_has(make_spec: Callable[..., Any]) -> None:
    keys = definitions_of(make_spec()).resolve_all_asset_keys()
    assert {key.path[-1] for key in keys} == {*STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_any_asset_of_a_fresh_model_ends_well(materialize: Any, stage: str) -> None:
    result = materialize(stage)
    assert result.success, failure_of(result)


def test_all_assets_of_a_fresh_model_end_well_and_once_more(materialize: Any) -> None:
    for _ in range(2):
        result = materialize(*STAGES)
        assert result.success, failure_of(result)


@pytest.mark.slow
def test_all_assets_one_by_one_against_the_order_end_well(materialize: Any) -> None:
    for stage in (*reversed(STAGES), *STAGES):
        result = materialize(stage)
        assert result.success, failure_of(result)
