"""Handlers of each path: the native API, open inference, MLflow, feedback, look-up."""
