"""A model of several classes and one of a number, on data of scikit-learn."""

from typing import Any

import yaml

from ml_assets.components import TabularClassifier, TabularRegressor

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


def specs() -> list[Any]:
    """Both, as their components read them."""
    kinds = (TabularClassifier, WINE), (TabularRegressor, DIABETES)
    return [
        kind.model_validate(yaml.safe_load(text)["attributes"]) for kind, text in kinds
    ]
