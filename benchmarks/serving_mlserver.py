"""MLServer with its own runtime of a booster, for what else serves one.

It is asked with the encoded matrix, so that it has less to do than with rows.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving_process import free_port

PACKAGES = ("mlserver>=1.7", "mlserver-lightgbm>=1.7", "mlserver-xgboost>=1.7")


def server(
    directory: Path, python: Path, booster: Any, matrix: NDArray[np.float64]
) -> tuple[str, list[str], int, str, list[Path]]:
    """Its name, command, port and path, and its request bodies.

    Parameters
    ----------
    directory
        Where its settings and its model are written.
    python
        Of an environment that has `PACKAGES`.
    booster
        A fitted estimator of LightGBM or XGBoost.
    matrix
        What it is asked for, of shape (n, k).
    """
    home = directory / "mlserver"
    home.mkdir()
    is_lightgbm = hasattr(booster, "booster_")
    model = home / ("model.txt" if is_lightgbm else "model.json")
    getattr(booster, "booster_", booster).save_model(str(model))
    runtime = "lightgbm.LightGBMModel" if is_lightgbm else "xgboost.XGBoostModel"
    ports = [free_port() for _ in range(3)]
    names = ("http_port", "grpc_port", "metrics_port")
    settings = {**dict(zip(names, ports)), "parallel_workers": 0, "debug": False}
    (home / "settings.json").write_text(json.dumps(settings))
    of_model = {
        "name": "adult",
        "implementation": f"mlserver_{runtime}",
        "parameters": {"uri": str(model)},
    }
    (home / "model-settings.json").write_text(json.dumps(of_model))
    bodies = [_bodies(home, matrix, size) for size in (1, 100)]
    command = [str(python.with_name("mlserver")), "start", str(home)]
    return "MLServer", command, ports[0], "/v2/models/adult/infer", bodies


def _bodies(home: Path, matrix: NDArray[np.float64], size: int) -> Path:
    """Requests of so many rows each, as one tensor."""
    file = home / f"tensors-{size}.jsonl"
    lines = []
    for start in range(0, len(matrix), size):
        part = matrix[start : start + size]
        tensor = {"name": "x", "datatype": "FP64", "shape": [*part.shape]}
        tensor["data"] = part.ravel().tolist()
        lines.append(json.dumps({"inputs": [tensor]}))
    file.write_text("\n".join(lines) + "\n")
    return file
