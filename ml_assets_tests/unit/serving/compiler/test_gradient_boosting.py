"""scikit-learn's GradientBoosting: what of it is not compiled."""

import pytest
import yaml

from ml_assets.cli.demo import churn
from ml_assets.ml.estimators import make_estimator
from ml_assets.serving.compiler import NotCompiled
from ml_assets.spec.estimator import EstimatorSpec
from ml_assets_tests.kits.compiled_models import compiled, fitted


def test_the_slow_version_of_the_demonstration_is_not_compiled():
    given = yaml.safe_load(churn.SLOW_BOOSTING.estimator)
    estimator = make_estimator(EstimatorSpec.model_validate(given))
    pipeline, signature, frame = fitted(estimator, 2, count=300)
    with pytest.raises(NotCompiled, match="LogisticRegression answers rows"):
        compiled(pipeline, signature, frame)
