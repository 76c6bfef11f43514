"""What a YAML may say of prediction intervals, and what is refused of it."""

from pathlib import Path

import pytest

from ml_assets.components import TabularRegressor
from ml_assets.spec import model_file

REGRESSOR = """\
type: ml_assets.components.TabularRegressor
attributes:
  name: prices
  source: {type: sklearn, dataset: diabetes}
  target: target
  gate: {metric: mae, below: 60}
"""
CLASSIFIER = """\
type: ml_assets.components.TabularClassifier
attributes:
  name: flowers
  source: {type: sklearn, dataset: iris}
  target: target
  description: kinds of flowers
"""


def problems(folder: Path, text: str) -> list[model_file.Problem]:
    file = folder / "defs.yaml"
    file.write_text(text, encoding="utf-8")
    (document,) = model_file.read(file)
    return model_file.problems(document)


@pytest.mark.parametrize(
    "text, level, message",
    [
        (REGRESSOR, "90", "less than 1"),
        (REGRESSOR, "0", "greater than 0"),
        (REGRESSOR, "wide", "number"),
        (CLASSIFIER, "0.9", "is of a regressor; classes have probabilities"),
    ],
)
def test_a_wrong_interval_is_refused_at_its_line(
    tmp_path: Path, text: str, level: str, message: str
) -> None:
    (problem,) = problems(tmp_path, f"{text}  interval: {level}\n")
    assert (problem.line, problem.key) == (7, "attributes.interval")
    assert message in problem.message


def test_a_regressor_may_have_one(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{REGRESSOR}  interval: 0.9\n") == []
    assert "interval" in TabularRegressor.model().model_json_schema()["properties"]
