"""The shipped YAMLs on the real data they are for, only the source replaced."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import ml_assets
from ml_assets.components import TabularClassifier
from ml_assets.spec.expectations import check_expectations
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of

DEFS = Path(ml_assets.__file__).parent / "defs"
DATA = os.environ.get("ML_ASSETS_TEST_DATA", "")
ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education.num", "marital.status"),
    *("occupation", "relationship", "race", "sex", "capital.gain", "capital.loss"),
    *("hours.per.week", "native.country", "income"),
]
SOURCES: dict[str, dict[str, Any]] = {
    "census_income": {
        "type": "csv",
        "path": f"{DATA}/adult-train.csv",
        "read": {"header": False, "columns": ADULT},
    },
    "telco_churn": {"type": "csv", "path": f"{DATA}/telco_customer_churn.csv"},
}


def shipped(model: str, **more: Any) -> TabularClassifier:
    text = (DEFS / model / "defs.yaml").read_text(encoding="utf-8")
    return TabularClassifier.model_validate(yaml.safe_load(text)["attributes"] | more)


@pytest.mark.parametrize("model", ["breast_cancer", "census_income", "telco_churn"])
def test_the_expectations_of_a_shipped_model_are_known(model: str) -> None:
    check_expectations(shipped(model).expect)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="ML_ASSETS_TEST_DATA does not name the data sets")
@pytest.mark.parametrize("model, auc", [("census_income", 0.92), ("telco_churn", 0.83)])
def test_a_shipped_model_is_trained_gated_and_deployed_on_its_real_data(
    model: str,
    auc: float,
    run_job: Callable[..., dg.ExecuteInProcessResult],
    home: Path,
) -> None:
    spec = shipped(model, runtime_sources=[f"{DATA}/"])
    config = {f"{model}__raw": {"config": {"source": SOURCES[model]}}}
    trained = run_job(spec, "train", config)
    assert trained.success, failure_of(trained)
    (version,) = Versions().names(model)
    evaluation = Versions().evaluation(model, version)
    assert evaluation is not None and evaluation["gate"]["passed"], evaluation["gate"]
    assert evaluation["metrics"]["accuracy"] > 0.8
    assert evaluation["metrics"]["roc_auc"] > auc
    deployed = run_job(spec, "deploy")
    assert deployed.success, failure_of(deployed)
    plan = Plans().current(model)
    assert plan is not None and plan.live.runtime == "compiled"
