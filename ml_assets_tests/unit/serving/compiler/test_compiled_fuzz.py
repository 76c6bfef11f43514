"""No bit differs from the library on values that are hard to get right.

Beside those of `test_libraries`, which are fuzzed in the same way.
"""

import numpy as np
import pytest

from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime
from ml_assets_tests.kits.compiled_models import (
    answered,
    bits,
    compiled,
    edges,
    fitted,
    fuzzed,
)
from ml_assets_tests.kits.estimators import boosting, lgbm

# Name, estimator, number of classes (0 for a regression) and the kernel.
CASES = {
    "LGBMClassifier": (lgbm("Classifier"), 2, "masks"),
    "LGBMClassifier of a sigmoid": (lgbm("Classifier", sigmoid=0.7), 2, "masks"),
    "LGBMClassifier of cross entropy": (
        lgbm("Classifier", objective="cross_entropy"),
        *(2, "masks"),
    ),
    "LGBMClassifier of categories": (
        lgbm("Classifier", categorical_feature=[0], min_data_per_group=1, cat_smooth=1),
        *(2, "masks"),
    ),
    "LGBMClassifier without missing values": (
        lgbm("Classifier", use_missing=False),
        *(2, "masks"),
    ),
    "LGBMClassifier of zeros as missing": (
        lgbm("Classifier", zero_as_missing=True),
        *(2, "masks"),
    ),
    "LGBMClassifier of large trees and zeros as missing": (
        lgbm("Classifier", zero_as_missing=True, num_leaves=100, min_child_samples=1),
        *(2, "masks"),
    ),
    "LGBMClassifier of dropped trees": (
        lgbm("Classifier", boosting_type="dart"),
        *(2, "masks"),
    ),
    "LGBMClassifier of large trees": (
        lgbm("Classifier", num_leaves=200, min_child_samples=1),
        *(2, "masks"),
    ),
    "LGBMClassifier of huge trees": (
        lgbm("Classifier", num_leaves=3000, min_child_samples=1, min_child_weight=0),
        *(2, "walk"),
    ),
    "LGBMClassifier of one leaf": (
        lgbm("Classifier", min_child_samples=100_000),
        *(2, "masks"),
    ),
    "LGBMClassifier of three classes": (lgbm("Classifier"), 3, "masks"),
    "LGBMClassifier of twelve classes": (lgbm("Classifier"), 12, "masks"),
    "LGBMClassifier of one against the rest": (
        lgbm("Classifier", objective="multiclassova", sigmoid=1.3),
        *(3, "masks"),
    ),
    "LGBMRegressor": (lgbm("Regressor"), 0, "masks"),
    "LGBMRegressor of quantiles": (
        lgbm("Regressor", objective="quantile", alpha=0.9),
        *(0, "masks"),
    ),
    "LGBMRegressor of random splits": (lgbm("Regressor", extra_trees=True), 0, "masks"),
    "LGBMRegressor of counts": (lgbm("Regressor", objective="poisson"), 0, "masks"),
    "LGBMRegressor of amounts": (lgbm("Regressor", objective="tweedie"), 0, "masks"),
    "GradientBoostingClassifier": (boosting("Classifier"), 2, "masks"),
    "GradientBoostingClassifier of the exponential loss": (
        boosting("Classifier", loss="exponential", learning_rate=0.3),
        *(2, "masks"),
    ),
    "GradientBoostingClassifier from zero": (
        boosting("Classifier", init="zero", subsample=0.5),
        *(2, "masks"),
    ),
    "GradientBoostingClassifier of three classes": (boosting("Classifier"), 3, "masks"),
    "GradientBoostingClassifier of twelve classes": (
        boosting("Classifier"),
        *(12, "masks"),
    ),
    "GradientBoostingRegressor": (boosting("Regressor"), 0, "masks"),
    "GradientBoostingRegressor of quantiles": (
        boosting("Regressor", loss="quantile", max_depth=None),
        *(0, "walk"),
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
    reference = SklearnRuntime(pipeline, signature)
    columns = answered(runtime, columns)
    assert len(columns[0]) > 400
    expected = reference.predict_many(columns)
    found = runtime.predict_many(columns)
    alone = [runtime.predict_one(row) for row in zip(*columns)]
    np.testing.assert_array_equal(bits(found), bits(expected))
    np.testing.assert_array_equal(bits(alone), bits(expected))
