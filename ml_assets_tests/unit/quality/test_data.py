"""The expectations of the shipped models, on the real data where it is at hand."""

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

import ml_assets
from ml_assets.ml.contract import Contract
from ml_assets.ml.tables import tidy
from ml_assets.quality import run_expectations
from ml_assets.spec.expectations import check_expectations

DEFINITIONS = sorted((Path(ml_assets.__file__).parent / "defs").glob("*/defs.yaml"))
ADULT = (
    "age workclass fnlwgt education education.num marital.status occupation"
    " relationship race sex capital.gain capital.loss hours.per.week native.country"
    " income"
).split()


def expectations(model: str) -> list:
    """What the shipped YAML of `model` expects."""
    path = Path(ml_assets.__file__).parent / "defs" / model / "defs.yaml"
    return yaml.safe_load(path.read_text())["attributes"].get("expect", [])


def data(name: str) -> Path:
    """A file of real data, or skip."""
    directory = os.environ.get("ML_ASSETS_TEST_DATA")
    if not directory:
        pytest.skip("ML_ASSETS_TEST_DATA is unset: it names a directory of real data")
    return Path(directory) / name


@pytest.fixture(scope="module")
def adult() -> pd.DataFrame:
    path = data("adult-train.csv")
    frame = pd.read_csv(path, names=ADULT, skipinitialspace=True, na_values=["?"])
    return tidy(frame)


@pytest.fixture(scope="module")
def telco() -> pd.DataFrame:
    return tidy(pd.read_csv(data("telco_customer_churn.csv"), na_values=[" "]))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.parent.name)
def test_the_shipped_expectations_are_well_formed(path):
    check_expectations(expectations(path.parent.name))


@pytest.mark.parametrize(
    "model, table", [("census_income", "adult"), ("telco_churn", "telco")]
)
def test_real_data_meets_the_shipped_expectations(model, table, request):
    outcomes = run_expectations(request.getfixturevalue(table), expectations(model))
    assert outcomes
    assert [outcome.message for outcome in outcomes if not outcome.passed] == []


def test_a_planted_fault_in_adult_is_found_with_its_figures(adult):
    broken = adult.assign(age=adult["age"].where(adult.index >= 3, 999))
    rules = [
        {
            "expect_column_values_to_be_between": {
                "column": "age",
                "min_value": 0,
                "max_value": 120,
            }
        }
    ]
    (outcome,) = run_expectations(broken, rules)
    assert outcome.name == "age_between_0_and_120"
    assert outcome.message == (
        "column age: 3 of 32,561 values are outside 0..120, e.g. 999"
    )


def test_the_blank_totals_of_telco_are_found(telco):
    rules = [
        {"expect_column_values_to_not_be_null": {"column": "TotalCharges"}},
        {
            "expect_column_values_to_not_be_null": {
                "column": "TotalCharges",
                "mostly": 0.99,
            }
        },
    ]
    strict, lenient = run_expectations(telco, rules)
    assert strict.message == "column TotalCharges: 11 of 7,043 values are missing"
    assert lenient.passed and lenient.unexpected_count == 11


@pytest.mark.parametrize("table", ["adult", "telco"])
def test_random_parts_of_real_data_keep_the_contract_of_the_whole(table, request):
    frame = request.getfixturevalue(table)
    contract = Contract.learn(frame)
    for seed in range(3):
        part = frame.sample(frac=0.6, random_state=seed)
        errors = [v for v in contract.compare(part) if v.severity == "error"]
        errors += [
            v for v in Contract.learn(part).compare(frame) if v.severity == "error"
        ]
        assert [error.message for error in errors] == []
