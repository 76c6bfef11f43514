"""A model of several classes and one of a number, on data of scikit-learn."""

from pathlib import Path
from typing import Any

from ml_assets.components import TabularClassifier, TabularRegressor
from ml_assets.spec import model_file

WINE = """
type: ml_assets.components.TabularClassifier
attributes:
  name: wine
  source: {type: sklearn, dataset: wine}
  target: target
  estimator: {type: sklearn.linear_model.LogisticRegression}
  monitoring: {slices: []}
"""
DIABETES = """
type: ml_assets.components.TabularRegressor
attributes:
  name: diabetes
  source: {type: sklearn, dataset: diabetes}
  target: target
  estimator: {type: sklearn.linear_model.Ridge, params: {alpha: 0.1}}
  gate: {metric: mae, below: 60}
"""
PLOTS = {
    "wine": {"confusion", "classes", "roc", "calibration", "probabilities"},
    "diabetes": {"predicted", "residuals", "errors", "deciles"},
}


def spec_in(directory: Path, text: str) -> Any:
    """The model of a YAML, in which nothing is wrong."""
    file = directory / "defs.yaml"
    file.write_text(text, encoding="utf-8")
    (document,) = model_file.read(file)
    kind = TabularRegressor if document.kind == "regression" else TabularClassifier
    assert model_file.problems(document) == []
    return kind.model_validate(document.attributes)
