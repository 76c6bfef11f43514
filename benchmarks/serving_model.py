"""A model of the shape of UCI Adult, as our bundle and as MLflow saves it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, ServingPlan, Signature
from ml_assets.serving.models.published_plans import PublishedPlans

NUMBERS = ["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
CATEGORIES = {
    "workclass": 8,
    "education": 16,
    "marital-status": 7,
    "occupation": 14,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "native-country": 41,
}
# Types that MLflow must know before it saves the pipeline.
TRUSTED = [
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


def table() -> tuple[pd.DataFrame, pd.Series, str]:
    """Rows, labels and the name of the data."""
    directory = os.environ.get("ML_ASSETS_TEST_DATA")
    if directory:
        return (*_adult(Path(directory) / "adult-train.csv"), "UCI Adult")
    return (*_synthetic(32_561), "synthetic rows of Adult's shape")


def _adult(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    names = (
        "age workclass fnlwgt education education-num marital-status occupation"
        " relationship race sex capital-gain capital-loss hours-per-week"
        " native-country income"
    ).split()
    frame = pd.read_csv(path, names=names, skipinitialspace=True, na_values="?")
    rows = frame[NUMBERS + list(CATEGORIES)].astype(dict.fromkeys(NUMBERS, float))
    return rows, (frame["income"] == ">50K").astype(int)


def _synthetic(size: int) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        name: rng.integers(0, 90, size).astype(float) for name in NUMBERS
    }
    for name, count in CATEGORIES.items():
        columns[name] = [f"{name} {item}" for item in rng.integers(0, count, size)]
    score = columns["age"] + columns["hours-per-week"] + rng.normal(0, 30, size)
    return pd.DataFrame(columns), pd.Series((score > 115).astype(int))


def build(
    directory: Path,
    for_mlflow: bool = True,
    data: tuple[pd.DataFrame, pd.Series, str] | None = None,
    estimator: Any = None,
) -> tuple[str, list[dict[str, Any]], str]:
    """Train and save; the runtime that serves, rows to ask for, and the data's name.

    ``directory/storage`` holds our bundle and its plan, ``directory/mlflow`` the same
    fitted pipeline as MLflow saves it. `data` is that of `table` by default, the
    estimator histogram boosting of 100 trees.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from ml_assets.serving.models.bundle import write_bundle

    rows, labels, name = data or table()
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        encoded_missing_value=-1,
    )
    encode = ColumnTransformer(
        [
            ("numeric", "passthrough", NUMBERS),
            ("categorical", encoder, list(CATEGORIES)),
        ]
    )
    # skops writes no boosters of other libraries.
    is_skops = estimator is None
    if estimator is None:
        estimator = HistGradientBoostingClassifier(max_iter=100, early_stopping=False)
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    pipeline.fit(rows, labels)
    storage = directory / "storage"
    manifest = write_bundle(
        storage / "bundle", pipeline, _signature(rows), rows.head(300)
    )
    arm = Arm(
        version="20261123T020000Z",
        bundle="bundle",
        files=manifest.files,
        runtime=manifest.runtime,
    )
    PublishedPlans(Storage(str(storage))).publish(
        ServingPlan(
            model="adult", generation=1, arms=(arm,), created_at="", reason="benchmark"
        )
    )
    if for_mlflow:
        _save_for_mlflow(directory / "mlflow", pipeline, rows, is_skops)
    sample = rows.sample(500, random_state=1).astype(object)
    return (
        manifest.runtime,
        sample.where(sample.notna(), None).to_dict("records"),
        name,
    )


def _save_for_mlflow(
    directory: Path, pipeline: Any, rows: pd.DataFrame, is_skops: bool
) -> None:
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        pipeline,
        str(directory),
        serialization_format="skops" if is_skops else "cloudpickle",
        skops_trusted_types=TRUSTED if is_skops else None,
        input_example=rows.head(2),
    )


def _signature(rows: pd.DataFrame) -> Signature:
    numbers = [Column(name=name, kind="number") for name in NUMBERS]
    categories = [
        Column(
            name=name,
            kind="string",
            nullable=bool(rows[name].isna().any()),
            categories=tuple(sorted(rows[name].dropna().unique())),
            open=True,
        )
        for name in CATEGORIES
    ]
    return Signature(
        columns=(*numbers, *categories),
        target="income",
        negative="<=50K",
        positive=">50K",
    )
