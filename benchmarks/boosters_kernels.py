"""Microseconds for 100 rows of lleaves and treelite, in an environment that has them.

``boosters_kernels.py MODEL MATRIX`` prints a JSON object: each library's time and its
probabilities. The model is LightGBM's text or XGBoost's JSON; lleaves reads the former
alone.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 100
SECONDS = 2.0


def kernels(model: Path) -> dict[str, Callable[[Any], Any]]:
    """A function of a matrix, by library."""
    import lleaves
    import treelite

    predict = treelite.gtil.predict
    if model.suffix == ".json":
        tree = treelite.frontend.load_xgboost_model(str(model))
        return {"treelite": lambda rows: predict(tree, rows, nthread=1)}
    tree = treelite.frontend.load_lightgbm_model(str(model))
    compiled = lleaves.Model(model_file=str(model))
    compiled.compile()
    return {
        "lleaves": lambda rows: compiled.predict(rows, n_jobs=1),
        "treelite": lambda rows: predict(tree, rows, nthread=1),
    }


def median(function: Callable[[Any], Any], batches: Sequence[Any]) -> float:
    """Microseconds of the middle one of the calls that fit into some seconds.

    Each call is of another batch: a processor learns the branches of one by heart.
    """
    found = []
    end = time.perf_counter() + SECONDS
    for batch in cycle(batches):
        start = time.perf_counter()
        function(batch)
        found.append(time.perf_counter() - start)
        if start > end:
            break
    return float(np.median(found)) * 1e6


def main() -> None:
    """Print the figures."""
    model, matrix = Path(sys.argv[1]), np.load(sys.argv[2])
    if model.suffix == ".json":
        matrix = matrix.astype(np.float32)
    batches = np.split(matrix, len(matrix) // ROWS)
    found = {
        name: {
            "microseconds": median(call, batches),
            "answers": np.ravel(call(batches[0])).tolist(),
        }
        for name, call in kernels(model).items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
