"""XGBoost and CatBoost: compiled answers are the library's own, to the last bit."""

import json

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.schema import signature_columns
from ml_assets.records.plan import Signature
from ml_assets.serving.compiler import NotCompiled
from ml_assets.serving.compiler.catboost import read_catboost
from ml_assets.serving.compiler.xgboost import read_document
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime, columns_of
from ml_assets.spec.model import FeaturesSpec
from ml_assets_tests.kits.compiled_models import (
    assert_loads_without,
    bits,
    codes,
    compiled,
    data,
    edges,
    fitted,
    fuzzed,
)
from ml_assets_tests.kits.estimators import cat, xgb

# Name, estimator, number of classes (0 for a regression) and the kernel.
CASES = {
    "XGBClassifier": (xgb("Classifier"), 2, "masks"),
    "XGBClassifier with a base score": (
        xgb("Classifier", base_score=0.3, num_parallel_tree=3, subsample=0.5),
        *(2, "masks"),
    ),
    "XGBClassifier of pruned trees": (
        xgb("Classifier", tree_method="exact", gamma=1.0),
        *(2, "masks"),
    ),
    "XGBClassifier of large trees": (
        xgb("Classifier", grow_policy="lossguide", max_leaves=200, max_depth=0),
        *(2, "masks"),
    ),
    "XGBClassifier of huge trees": (
        xgb(
            "Classifier", num_parallel_tree=4, max_depth=14, min_child_weight=0
        ).set_params(n_estimators=2, subsample=0.9, max_bin=4096, reg_lambda=0),
        *(2, "walk"),
    ),
    "XGBClassifier, 4 classes": (xgb("Classifier"), 4, "masks"),
    "XGBClassifier, 3 classes of forests": (
        xgb("Classifier", num_parallel_tree=2, subsample=0.5, max_depth=8),
        *(3, "masks"),
    ),
    "XGBRegressor": (xgb("Regressor"), 0, "masks"),
    "XGBRegressor of absolute errors": (
        xgb("Regressor", objective="reg:absoluteerror"),
        *(0, "masks"),
    ),
    "XGBRegressor of counts": (
        xgb("Regressor", objective="count:poisson"),
        *(0, "masks"),
    ),
    "XGBRegressor of amounts": (
        xgb("Regressor", objective="reg:gamma"),
        *(0, "masks"),
    ),
    "XGBRegressor of Tweedie's": (
        xgb("Regressor", objective="reg:tweedie", base_score=2.0),
        *(0, "masks"),
    ),
    "CatBoostClassifier": (cat("Classifier"), 2, "masks"),
    "CatBoostClassifier, missing last": (
        cat("Classifier", nan_mode="Max", boost_from_average=True),
        *(2, "masks"),
    ),
    "CatBoostClassifier of deep trees": (
        cat("Classifier", depth=10),
        *(2, "walk"),
    ),
    "CatBoostClassifier by leaves": (
        cat("Classifier", grow_policy="Lossguide", nan_mode="Max"),
        *(2, "masks"),
    ),
    "CatBoostClassifier, 4 classes": (cat("Classifier"), 4, "masks"),
    "CatBoostClassifier, 3 classes by levels": (
        cat("Classifier", grow_policy="Depthwise"),
        *(3, "masks"),
    ),
    "CatBoostClassifier, one against the rest": (
        cat("Classifier", loss_function="MultiClassOneVsAll"),
        *(3, "masks"),
    ),
    "CatBoostRegressor": (cat("Regressor"), 0, "masks"),
    "CatBoostRegressor of quantiles": (
        cat("Regressor", loss_function="Quantile:alpha=0.8"),
        *(0, "masks"),
    ),
    "CatBoostRegressor of counts": (
        cat("Regressor", loss_function="Poisson"),
        *(0, "masks"),
    ),
    "CatBoostRegressor of Tweedie's": (
        cat("Regressor", loss_function="Tweedie:variance_power=1.5"),
        *(0, "masks"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_bit_differs_from_the_library(name):
    estimator, classes, kernel = CASES[name]
    pipeline, signature, frame = fitted(estimator, classes)
    program, tables, runtime = compiled(pipeline, signature, frame)
    assert program.kernel == kernel
    columns = fuzzed(signature, frame, edges(tables), 1500)
    expected = SklearnRuntime(pipeline, signature).predict_many(columns)
    found = runtime.predict_many(columns)
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    np.testing.assert_array_equal(bits(found), bits(expected))
    np.testing.assert_array_equal(bits(alone), bits(expected))


def test_a_positive_class_that_is_the_first_of_the_estimator_is_answered():
    frame, target = data(300)
    labels = np.array(["high", "low"])[codes(-target, 2)]
    estimator = cat("Classifier", n_estimators=5)
    pipeline = build_pipeline(frame, FeaturesSpec(), estimator).fit(frame, labels)
    columns = signature_columns(frame, frame.columns)
    signature = Signature(
        columns=columns, target="made", negative="low", positive="high"
    )
    _, _, runtime = compiled(pipeline, signature, frame)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(
        bits(found), bits(pipeline.predict_proba(frame)[:, 0])
    )


def test_xgboost_answers_with_the_trees_that_early_stopping_kept():
    frame, target = data(600)
    estimator = xgb("Regressor", n_estimators=200, early_stopping_rounds=2)
    pipeline, signature, _ = fitted(xgb("Regressor"), 0, count=600)
    matrix = pipeline[:-1].transform(frame)
    estimator.fit(
        *(matrix[:400], target[:400]),
        eval_set=[(matrix[400:], target[400:])],
        verbose=False,
    )
    pipeline.steps[-1] = ("estimator", estimator)
    assert len(estimator.get_booster().get_dump()) > estimator.best_iteration + 1
    _, _, runtime = compiled(pipeline, signature, frame)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(bits(found), bits(pipeline.predict(frame)))


@pytest.mark.parametrize(
    ("estimator", "classes", "reason"),
    [
        (xgb("Classifier", booster="dart"), 2, "booster dart"),
        (xgb("Regressor", booster="gblinear", n_jobs=1), 0, "booster gblinear"),
        (xgb("Classifier", objective="binary:hinge"), 2, "objective binary:hinge"),
        (xgb("Classifier", missing=-1.0), 2, "-1.0 for missing"),
        (xgb("Classifier", multi_strategy="multi_output_tree"), 3, "several outputs"),
        (cat("Classifier", loss_function="MultiClass"), 2, "MultiClass"),
        (cat("Regressor", loss_function="RMSEWithUncertainty"), 0, "WithUncertainty"),
    ],
)
def test_what_is_not_compiled_is_named(estimator, classes, reason):
    estimator.set_params(n_estimators=3)
    pipeline, signature, frame = fitted(estimator, classes, count=200)
    with pytest.raises(NotCompiled, match=reason):
        compiled(pipeline, signature, frame)


def test_categories_of_the_library_itself_are_not_compiled():
    frame, target = data(300)
    given = frame[["letter", "amount"]]
    estimator = xgb("Classifier", enable_categorical=True, max_cat_to_onehot=1)
    estimator.fit(given, codes(target, 2))
    document = estimator.get_booster().save_raw("json")
    with pytest.raises(NotCompiled, match="categorical splits"):
        read_document(json.loads(document), [0, 1])
    texts = given.assign(letter=given.letter.astype(object).fillna("none"))
    model = cat("Classifier", n_estimators=3).fit(
        texts, codes(target, 2), cat_features=["letter"]
    )
    with pytest.raises(NotCompiled, match="categorical features"):
        read_catboost(model, [0, 1])


@pytest.mark.parametrize(
    ("estimator", "classes", "x86", "other"),
    [
        (cat("Classifier"), 3, "softmax_by_table", "softmax_by_libm"),
        (cat("Regressor", loss_function="Poisson"), 0, "exp_by_table", "exp_by_libm"),
        (cat("Classifier"), 2, "logit", "logit"),
    ],
)
def test_catboost_has_an_exponential_of_its_own_on_x86_alone(
    estimator, classes, x86, other, monkeypatch
):
    estimator.set_params(n_estimators=5)
    made = fitted(estimator, classes, count=300)
    columns = columns_of(made[1], made[2])
    answers = []
    for machine, link in (("x86_64", x86), ("aarch64", other), ("arm64", other)):
        monkeypatch.setattr("platform.machine", lambda: machine)
        program, _, runtime = compiled(*made)
        assert program.link == link
        answers.append(runtime.predict_many(columns))
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-13)
    np.testing.assert_array_equal(bits(answers[1]), bits(answers[2]))


def test_a_scaled_model_of_catboost_is_not_compiled():
    pipeline, signature, frame = fitted(cat("Regressor", n_estimators=3), 0, count=200)
    pipeline[-1].set_scale_and_bias(2.0, 1.0)
    with pytest.raises(NotCompiled, match="scale 2"):
        compiled(pipeline, signature, frame)


def of_sparse_input(estimator):
    frame, target = data(400)
    indicators = OneHotEncoder(handle_unknown="ignore")
    encode = ColumnTransformer(
        [("letter", indicators, ["letter"]), ("wide", "passthrough", ["wide"])],
        sparse_threshold=1.0,
    )
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    frame.loc[::3, "wide"] = 0.0
    pipeline.fit(frame, codes(target, 2))
    columns = signature_columns(frame, frame.columns)
    signature = Signature(columns=columns, target="made", negative=0, positive=1)
    return pipeline, signature, frame


def test_zeros_of_a_sparse_input_are_numbers_to_catboost():
    pipeline, signature, frame = of_sparse_input(cat("Classifier", n_estimators=5))
    _, _, runtime = compiled(pipeline, signature, frame)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(
        bits(found), bits(pipeline.predict_proba(frame)[:, 1])
    )


def test_sparse_input_of_xgboost_is_not_compiled():
    pipeline, signature, frame = of_sparse_input(xgb("Classifier", n_estimators=5))
    with pytest.raises(NotCompiled, match="zeros of a sparse matrix"):
        compiled(pipeline, signature, frame)


@pytest.mark.parametrize(
    ("library", "estimator"),
    [
        ("xgboost", xgb("Classifier", n_estimators=5)),
        ("catboost", cat("Classifier", n_estimators=5)),
    ],
)
def test_a_server_needs_no_library_of_what_is_compiled(library, estimator, tmp_path):
    pipeline, signature, frame = fitted(estimator, 3, count=200)
    manifest = write_bundle(tmp_path, pipeline, signature, frame.head(30))
    assert (manifest.runtime, manifest.reason) == ("compiled", "")
    runtime = load_runtime(tmp_path, manifest.files)
    found = runtime.predict_many(columns_of(signature, frame))
    np.testing.assert_array_equal(bits(found), bits(pipeline.predict_proba(frame)))
    assert_loads_without(tmp_path, manifest.files, {library, "sklearn", "pandas"})
