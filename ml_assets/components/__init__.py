"""Component types that a ``defs.yaml`` can name."""

from ml_assets.components.tabular_classifier import TabularClassifier
from ml_assets.components.tabular_regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]
