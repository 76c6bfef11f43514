"""Bundles of a multiclass and of a regression model, small and trained on the spot."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.records.plan import Arm, Column, Signature
from ml_assets.serving.models.bundle import write_bundle

COLUMNS = (
    Column(name="age", kind="number", nullable=True),
    Column(name="plan", kind="string", categories=("big", "small")),
)
CLASSES = ("billing", "delivery", "other")
TICKETS = Signature(columns=COLUMNS, target="topic", task="multiclass", classes=CLASSES)
DEMAND = Signature(columns=COLUMNS, target="demand", task="regression")
ROWS: list[dict[str, Any]] = [
    {"age": 41.0, "plan": "big"},
    {"age": None, "plan": "small"},
    {"age": 20.5, "plan": "small"},
]


def write_version(root: Path, version: str, signature: Signature) -> Arm:
    """Write the bundle of a model of several classes, or of a number."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, 300).astype(float),
            "plan": rng.choice(["big", "small"], 300),
        }
    )
    frame.loc[::20, "age"] = np.nan
    demand = frame["age"].fillna(30) + 10 * (frame["plan"] == "big")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer(
        [("numeric", "passthrough", ["age"]), ("plan", encoder, ["plan"])]
    )
    estimator: Any = HistGradientBoostingRegressor(max_iter=10)
    target: Any = demand + rng.normal(0, 5, 300)
    if signature.task == "multiclass":
        estimator = HistGradientBoostingClassifier(max_iter=10)
        target = pd.cut(target, 3, labels=False)
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    pipeline.fit(frame, target)
    directory = root / "bundles" / version
    manifest = write_bundle(directory, pipeline, signature, frame.head(40))
    return Arm(
        version=version,
        bundle=f"bundles/{version}",
        files=dict(manifest.files),
        runtime=manifest.runtime,
    )


def answers(root: Path, arm: Arm, rows: list[dict[str, Any]]) -> list[Any]:
    """What the library itself answers, row by row."""
    from ml_assets.serving.models.bundle import load_pipeline

    pipeline = load_pipeline(root / arm.bundle, arm.files)
    frames = [pd.DataFrame([row]).astype({"age": float}) for row in rows]
    ask = getattr(pipeline, "predict_proba", None) or pipeline.predict
    return [ask(frame)[0].tolist() for frame in frames]
