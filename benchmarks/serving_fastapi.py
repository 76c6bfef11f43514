"""What many write first: a FastAPI handler that calls the library on a DataFrame.

``BENCHMARK_MODEL`` names the directory of the pipeline as MLflow saved it.
"""

import os
from typing import Any

import mlflow.sklearn
import pandas as pd
from fastapi import FastAPI

app = FastAPI()
_pipeline: Any = mlflow.sklearn.load_model(os.environ["BENCHMARK_MODEL"])


@app.post("/predict")
def predict(request: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """The probabilities of the rows."""
    frame = pd.DataFrame(request["rows"])
    return {"predictions": _pipeline.predict_proba(frame)[:, 1].tolist()}
