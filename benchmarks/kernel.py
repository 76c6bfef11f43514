"""Microseconds a row, in process: the scikit-learn pipeline and the compiled runtime.

``python -m benchmarks.kernel``; the data is Adult where ``ML_ASSETS_TEST_DATA`` names
the directory that holds it, else synthetic rows of the same shape.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets.spec.model import FeaturesSpec

ROWS = (1, 100, 10_000)
ESTIMATORS = {
    "histogram boosting, 100 trees": HistGradientBoostingClassifier(random_state=0),
    "random forest, 100 trees": RandomForestClassifier(random_state=0),
    "logistic regression": LogisticRegression(max_iter=200),
}


def _adult() -> tuple[pd.DataFrame, pd.Series]:
    directory = os.environ.get("ML_ASSETS_TEST_DATA")
    if not directory:
        return _synthetic()
    frame = pd.read_csv(Path(directory) / "adult-train.csv", na_values=["?"])
    target = frame.pop(frame.columns[-1])
    return frame, (target.str.strip() == ">50K").astype(int)


def _synthetic(rows: int = 32_561) -> tuple[pd.DataFrame, pd.Series]:
    """Six numbers and eight categories, as many distinct values as Adult has."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"number_{i}": random.normal(size=rows).round(2) for i in range(6)}
    )
    for i, count in enumerate((9, 16, 7, 15, 6, 5, 2, 42)):
        names = [f"value {k}" for k in range(count)]
        frame[f"category_{i}"] = random.choice(names, rows)
    score = frame.number_0 + frame.number_1 * (frame.category_6 == "value 0")
    return frame, (score + random.normal(size=rows) > 1).astype(int)


def _microseconds(function: Callable[[], object], seconds: float = 0.5) -> float:
    """The fastest of the calls that fit into `seconds`."""
    best = np.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or best == np.inf:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def main() -> None:
    """Print the table."""
    frame, target = _adult()
    for name in frame.columns:
        if frame[name].dtype.kind not in "iuf":
            frame[name] = frame[name].astype("category")
    signature = Signature(
        columns=signature_columns(frame, frame.columns),
        target="target",
        negative=0,
        positive=1,
    )
    print(
        f"{'microseconds a row':32}{'rows':>8}{'pipeline':>12}{'ours':>10}{'ratio':>9}"
    )
    for title, estimator in ESTIMATORS.items():
        pipeline = build_pipeline(frame, FeaturesSpec(), estimator).fit(frame, target)
        with tempfile.TemporaryDirectory() as directory:
            manifest = write_bundle(
                Path(directory), pipeline, signature, frame.head(200)
            )
            start = time.perf_counter()
            runtime = load_runtime(Path(directory), manifest.files)
            load = time.perf_counter() - start
        for rows in ROWS:
            part = frame.head(rows)
            columns = columns_of(signature, part)
            row = tuple(column[0] for column in columns)
            theirs = _microseconds(lambda: pipeline.predict_proba(part))
            if rows == 1:
                ours = _microseconds(lambda: runtime.predict_one(row))
            else:
                ours = _microseconds(lambda: runtime.predict_many(columns))
            print(
                f"{title:32}{rows:8}{theirs / rows:12.2f}{ours / rows:10.3f}"
                f"{theirs / ours:9.0f}"
            )
        print(f"{title:32}{manifest.runtime}, loaded in {load * 1000:.0f} ms")


if __name__ == "__main__":
    main()
