"""What is served at which path: the native API, open inference, MLflow, feedback."""
