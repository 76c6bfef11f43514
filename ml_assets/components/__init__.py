"""Component types that a ``defs.yaml`` can name."""

from ml_assets.components.tabular_classifier import TabularClassifier

__all__ = ["TabularClassifier"]
