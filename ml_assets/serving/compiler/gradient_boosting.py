"""Scikit-learn's GradientBoosting*: regression trees that are scaled, then added.

The first sums are of the initial estimator, where it answers every row alike.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.utils import get_tags

from ml_assets.serving.compiler.encoding import Encoding, NotCompiled
from ml_assets.serving.compiler.trees import Ensemble, outputs_of, read_tree
from ml_assets.serving.runtime.program import LinkName

GRADIENT_BOOSTING = (GradientBoostingClassifier, GradientBoostingRegressor)
_CONSTANT = (DummyClassifier, DummyRegressor)


def read_gradient_boosting(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> Ensemble:
    """Read a GradientBoostingClassifier or GradientBoostingRegressor.

    `columns` is as in `read_model`.

    Raises
    ------
    NotCompiled
        If the initial estimator answers rows differently.
    """
    first = estimator.init_
    if type(first) not in _CONSTANT and first != "zero":
        raise NotCompiled(
            f"the initial estimator {type(first).__name__} answers rows differently"
        )
    one_row = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    baselines = np.ravel(estimator._raw_predict_init(one_row)).tolist()
    trees = [
        read_tree(item.tree_, []) for stage in estimator.estimators_ for item in stage
    ]
    rate = float(estimator.learning_rate)
    takes_missing = bool(get_tags(estimator).input_tags.allow_nan)
    link: LinkName = "identity"
    if columns:
        link = "softmax_by_rows" if len(columns) > 2 else "logit"
    return Ensemble(
        [replace(tree, value=rate * tree.value) for tree in trees],
        baselines=baselines,
        link=link,
        is_single=True,
        takes_missing=takes_missing and not encoding.is_sparse,
        complement=len(columns) == 2 and columns[-1] == 0,
        outputs=outputs_of(columns),
        # The exponential loss has half of the log-odds for its sums.
        slope=2.0 if columns and estimator.loss == "exponential" else 1.0,
    )
