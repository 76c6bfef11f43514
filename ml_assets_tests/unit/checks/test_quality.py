"""The production checks on bundled data: what passes, what fails, what is reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks.quality import bundled_models, run
from ml_assets_tests.conftest import definitions_of


def age_between(low: int, high: int) -> list[Any]:
    """An expectation of the kind that a model's YAML holds."""
    bounds = {"column": "age", "min_value": low, "max_value": high}
    return [{"expect_column_values_to_be_between": bounds}]


@pytest.fixture
def checked(
    make_spec: Callable[..., Any], tmp_path: Path
) -> Callable[..., tuple[bool, dict[str, Any]]]:
    """Checks a model as `make data-quality` does; the verdict and the report."""

    def check(**overrides: Any) -> tuple[bool, dict[str, Any]]:
        spec = make_spec(**overrides)
        report = tmp_path / "reports" / "data-quality.json"
        passed = run(definitions_of(spec), [spec.name], report)
        return passed, json.loads(report.read_text())

    return check


def test_good_data_passes_and_the_report_has_what_the_checks_wrote(
    checked: Callable[..., tuple[bool, dict[str, Any]]],
) -> None:
    passed, report = checked(expect=age_between(0, 120))
    (model,) = report["models"]
    assert passed and report["passed"] and model["passed"]
    assert model["model"] == "churn" and model["checks"] == 2
    assert model["failed"] == [] and model["error"] is None
    assert model["reports"], "the pipeline's own report is part of it"


def test_broken_data_fails_and_the_report_names_the_check(
    checked: Callable[..., tuple[bool, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    passed, report = checked(expect=age_between(0, 60))
    (model,) = report["models"]
    assert not passed and not report["passed"]
    (output,) = model["failed"]
    assert output.startswith("age_between_0_and_60: column age: ")
    assert output in capsys.readouterr().out


def test_a_source_that_cannot_be_read_fails_with_its_reason(
    checked: Callable[..., tuple[bool, dict[str, Any]]],
) -> None:
    source = {"type": "csv", "path": "/nowhere/rows.csv"}
    passed, report = checked(source=source)
    (model,) = report["models"]
    assert not passed and model["checks"] == 0
    assert "/nowhere/rows.csv" in model["error"]


def test_no_model_is_not_a_pass(make_spec: Callable[..., Any], tmp_path: Path) -> None:
    assert not run(definitions_of(make_spec()), [], tmp_path / "report.json")


def test_models_whose_rows_need_a_network_are_left_out(
    make_spec: Callable[..., Any],
) -> None:
    kaggle = {"type": "kaggle", "dataset": "owner/name", "file": "rows.csv"}
    definitions = definitions_of(make_spec(), make_spec(name="remote", source=kaggle))
    assert bundled_models(definitions) == ["churn"]
