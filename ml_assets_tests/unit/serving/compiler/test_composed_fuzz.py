"""Estimators made of others: compiled answers are scikit-learn's, bit for bit.

Those of linear parts are its own within rounding, for BLAS adds up as it likes.
"""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingRegressor,
    GradientBoostingClassifier,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ml_assets.core.tolerance import is_close, scale_of
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime
from ml_assets_tests.kits.compiled_models import (
    answered,
    bits,
    compiled,
    edges,
    fitted,
    fuzzed,
)
from ml_assets_tests.kits.estimators import (
    bag,
    calibrated,
    cat,
    extra,
    forest,
    forest_of_values,
    hist,
    hist_of_values,
    lgbm,
    stack,
    voting,
    xgb,
)

# Name, estimator, number of classes (0 for a regression) and the kernel.
TREES = {
    "voting": (voting(forest(), hist(), extra()), 2, "average"),
    "voting with weights": (
        voting(forest(), hist(), "drop", extra(), weights=[0.3, 1.7, 9.0, 2.2]),
        *(2, "average"),
    ),
    "voting, 4 classes": (voting(forest(), hist()), 4, "average"),
    "voting of boosters": (
        voting(lgbm("Classifier"), xgb("Classifier"), cat("Classifier")),
        *(2, "average"),
    ),
    "voting of boosters, 3 classes": (
        voting(lgbm("Classifier"), xgb("Classifier"), cat("Classifier")),
        *(3, "average"),
    ),
    "voting of XGBoost alone": (
        voting(xgb("Classifier"), xgb("Classifier", max_depth=2), xgb("Classifier")),
        *(2, "average"),
    ),
    "voting of values": (
        VotingRegressor([("a", forest_of_values()), ("b", hist_of_values())]),
        *(0, "average"),
    ),
    "voting of values of XGBoost alone": (
        VotingRegressor([("a", xgb("Regressor")), ("b", xgb("Regressor", eta=1.0))]),
        *(0, "average"),
    ),
    "voting of values with weights": (
        VotingRegressor(
            [("a", lgbm("Regressor")), ("b", xgb("Regressor"))], weights=[2, 1]
        ),
        *(0, "average"),
    ),
    "bagging of trees": (bag(DecisionTreeClassifier(max_depth=6)), 2, "masks"),
    "bagging of trees, 3 classes": (
        bag(None, max_features=0.6, bootstrap_features=True),
        *(3, "walk"),
    ),
    "bagging of trees of values": (
        BaggingRegressor(
            DecisionTreeRegressor(max_leaf_nodes=50), max_features=2, random_state=0
        ),
        *(0, "masks"),
    ),
    "bagging of boosting": (bag(hist(), max_features=0.7), 2, "average"),
    "bagging of XGBoost": (bag(xgb("Classifier")), 2, "average"),
    "bagging of values": (
        BaggingRegressor(lgbm("Regressor"), n_estimators=4, random_state=0),
        *(0, "average"),
    ),
    "sigmoid of a forest": (calibrated(forest()), 2, "average"),
    "sigmoid of boosting": (calibrated(hist(), ensemble=False), 2, "average"),
    "sigmoid of gradient boosting": (
        calibrated(GradientBoostingClassifier(n_estimators=10, random_state=0)),
        *(2, "average"),
    ),
    "sigmoid of XGBoost": (calibrated(xgb("Classifier")), 2, "average"),
    "sigmoid, 4 classes": (calibrated(hist()), 4, "average"),
    "isotonic of a forest": (calibrated(forest(), method="isotonic"), 2, "average"),
    "isotonic of LightGBM": (
        calibrated(lgbm("Classifier"), method="isotonic"),
        *(2, "average"),
    ),
    "isotonic, 4 classes": (calibrated(forest(), method="isotonic"), 4, "average"),
    "stack with a forest": (
        stack(forest(), hist(), final_estimator=forest(n_estimators=4)),
        *(2, "stack"),
    ),
    "stack with boosting and the inputs": (
        stack(forest(), lgbm("Classifier"), final_estimator=hist(), passthrough=True),
        *(2, "stack"),
    ),
    "stack of decisions, 3 classes": (
        stack(hist(), extra(), final_estimator=hist(), passthrough=True),
        *(3, "stack"),
    ),
    "stack of values": (
        StackingRegressor(
            [("a", hist_of_values()), ("b", xgb("Regressor"))],
            final_estimator=forest_of_values(),
            passthrough=True,
            cv=3,
        ),
        *(0, "stack"),
    ),
    "stack of calibrated and bagged parts": (
        stack(
            calibrated(forest(), method="isotonic"),
            bag(hist()),
            final_estimator=calibrated(hist()),
        ),
        *(2, "stack"),
    ),
}
LINEAR = {
    "voting": (voting(LogisticRegression(C=0.01), forest()), 2, "average"),
    "bagging": (bag(LogisticRegression(C=0.01), max_features=0.5), 3, "average"),
    "calibrated by default": (CalibratedClassifierCV(), 2, "average"),
    "calibrated decisions, 3 classes": (
        calibrated(LinearSVC(C=0.01), method="isotonic"),
        *(3, "average"),
    ),
    "stack by default": (stack(forest(), hist()), 2, "stack"),
    "stack with the inputs, 4 classes": (
        stack(forest(), LogisticRegression(C=0.01), passthrough=True),
        *(4, "stack"),
    ),
    "stack of values": (
        StackingRegressor([("a", forest_of_values()), ("b", Ridge())], cv=3),
        *(0, "stack"),
    ),
}


def answers(estimator, classes, kernel, encoding):
    """Of fuzzed rows: those of the compiled runtime, alone too, and of the library."""
    pipeline, signature, frame = fitted(estimator, classes, encoding)
    program, tables, runtime = compiled(pipeline, signature, frame)
    assert program.kernel == kernel
    numbers = edges(tables) if encoding == "ordinal" else np.linspace(-3.0, 60.0, 500)
    columns = answered(runtime, fuzzed(signature, frame, numbers, 1500))
    assert len(columns[0]) > 150
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    expected = SklearnRuntime(pipeline, signature).predict_many(columns)
    return runtime.predict_many(columns), alone, expected


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_no_bit_differs_from_the_library(name):
    many, alone, expected = answers(*TREES[name], "ordinal")
    np.testing.assert_array_equal(bits(many), bits(expected))
    np.testing.assert_array_equal(bits(alone), bits(expected))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lbfgs failed|.*failed to converge")
@pytest.mark.parametrize("name", LINEAR)
def test_answers_with_linear_parts_are_the_librarys(name):
    many, alone, expected = answers(*LINEAR[name], "onehot")
    scale = scale_of(expected)
    assert is_close(many, expected, scale).all()
    assert is_close(alone, expected, scale).all()
