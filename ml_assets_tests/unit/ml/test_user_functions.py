"""Sources and metrics that are functions of the project's own."""

from pathlib import Path

import numpy as np
import pytest

from ml_assets.ml.sources import SourceError, describe, read_source
from ml_assets.ml.sources.runtime_sources import refusal
from ml_assets.ml.tasks import Binary, Regression
from ml_assets.ml.user_metrics import UserMetricError, best_constant, user_metrics
from ml_assets.spec.source import SourceSpec

CUSTOMERS = "my_project.sources.customers"


def source(function: str = CUSTOMERS) -> SourceSpec:
    return SourceSpec(type="python", function=function)


def test_the_rows_are_those_that_the_function_returns(
    user_package: Path, tmp_path: Path
) -> None:
    frame = read_source(source(), tmp_path)
    assert frame.shape == (600, 4)
    assert describe(source()) == f"python source {CUSTOMERS}"


def test_a_function_that_returns_no_table_is_named(
    user_package: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="returned a list, expected a pandas"):
        read_source(source("my_project.sources.listing"), tmp_path)


def test_a_source_that_is_not_trusted_is_not_read(
    user_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = source()
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "")
    with pytest.raises(SourceError, match="is in no package that is trusted"):
        read_source(spec, tmp_path)


def test_a_run_calls_no_function_but_that_of_the_yaml(user_package: Path) -> None:
    own, other = source(), source("my_project.sources.listing")
    assert refusal(own, own, []) == ""
    for permitted in ([], ["python"], ["my_project"], [""]):
        assert "only where the model's YAML names it" in refusal(other, own, permitted)
    csv = SourceSpec(type="csv", path="rows.csv")
    assert "only where the model's YAML names it" in refusal(own, csv, [])


def test_metrics_are_called_with_outcomes_and_answers(user_package: Path) -> None:
    y, answers = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.1])
    found = user_metrics(["my_project.metrics.profit"], y, answers)
    assert found == {"profit": 6.0}


def test_a_metric_that_fails_is_named(user_package: Path) -> None:
    y, answers = np.array([1, 0]), np.array([0.9, 0.8])
    with pytest.raises(UserMetricError, match=r"metrics\.broken fails: KeyError"):
        user_metrics(["my_project.metrics.broken"], y, answers)
    (user_package / "metrics.py").write_text(
        "def text(y, answers):\n    return 'much'\n\n"
        "def endless(y, answers):\n    y[:] = 0\n    return float('inf')\n"
    )
    import importlib

    import my_project.metrics  # type: ignore[import-not-found]

    importlib.reload(my_project.metrics)
    with pytest.raises(UserMetricError, match="returned 'much', expected a number"):
        user_metrics(["my_project.metrics.text"], y, answers)
    found = user_metrics(["my_project.metrics.endless"], y, answers)
    assert np.isnan(found["endless"]) and y.tolist() == [1, 0]


@pytest.mark.parametrize("lower, best", [(False, 4.0), (True, 0.0)])
def test_a_metric_has_the_best_of_constant_answers(
    user_package: Path, lower: bool, best: float
) -> None:
    y = np.array([1, 0, 1, 0, 0, 0, 0, 0])
    constants = Binary(False, True).constants(y)
    assert best_constant("my_project.metrics.profit", y, constants, lower) == best


def test_a_metric_that_no_constant_answer_defines_is_not_a_number(
    user_package: Path,
) -> None:
    (user_package / "ranks.py").write_text(
        "def spread(y, answers):\n" "    return answers.std() or float('nan')\n"
    )
    y = np.array([1.0, 2.0, 6.0])
    constants = Regression().constants(y)
    assert constants.tolist() == [3.0, 2.0]
    assert np.isnan(best_constant("my_project.ranks.spread", y, constants, False))
