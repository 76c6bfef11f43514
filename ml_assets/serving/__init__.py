"""The model server. Imports no dagster and no mlflow, and no pandas on its hot path."""
