"""LightGBM's models in bundles: what is compiled needs no library, the rest does."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

from ml_assets.serving.compiler import NotCompiled
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets_tests.kits.compiled_models import assert_loads_without, compiled, fitted
from ml_assets_tests.kits.estimators import boosting, lgbm


def bundle(directory: Path, **params: Any) -> Any:
    pipeline, signature, frame = fitted(lgbm("Classifier", **params), 2, count=300)
    return pipeline, frame, write_bundle(directory, pipeline, signature, frame[:40])


def test_a_compiled_model_is_served_without_its_library(tmp_path):
    _, _, manifest = bundle(tmp_path)
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    assert_loads_without(
        tmp_path, manifest.files, {"lightgbm", "sklearn", "skops", "pandas"}
    )


def test_a_model_that_is_not_compiled_is_served_by_its_library(tmp_path):
    pipeline, frame, manifest = bundle(tmp_path, linear_tree=True)
    assert manifest.reason == "LightGBM's linear trees are not compiled"
    runtime = load_runtime(tmp_path, manifest.files)
    found = runtime.predict_many(columns_of(runtime.signature, frame))
    assert runtime.kind == "sklearn"
    assert found.tolist() == pipeline.predict_proba(frame)[:, 1].tolist()


@pytest.mark.parametrize(
    "estimator, classes, reason",
    [
        (lgbm("Regressor", linear_tree=True), 0, "linear trees"),
        (lgbm("Regressor", reg_sqrt=True), 0, "objective regression sqrt"),
        (lgbm("Classifier", objective="cross_entropy_lambda"), 2, "entropy_lambda"),
        (
            lgbm("Classifier", boosting_type="rf", subsample=0.5, subsample_freq=1),
            *(2, "averaged trees"),
        ),
        (
            lgbm("Classifier", zero_as_missing=True, num_leaves=1500).set_params(
                min_child_samples=1, min_child_weight=0
            ),
            *(2, "too large for masks"),
        ),
        (lgbm("Classifier", categorical_feature=[4]), 2, "a number is split by a set"),
        (boosting("Regressor", init=LinearRegression()), 0, "LinearRegression answers"),
    ],
)
def test_what_is_not_compiled_is_named(estimator, classes, reason):
    pipeline, signature, frame = fitted(estimator, classes)
    with pytest.raises(NotCompiled, match=reason):
        compiled(pipeline, signature, frame)
