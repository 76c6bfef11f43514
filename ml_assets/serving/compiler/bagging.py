"""Bags of scikit-learn's trees, which are forests whose trees see some columns each."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.utils import get_tags

from ml_assets.serving.compiler.encoding import Encoding, NotCompiled
from ml_assets.serving.compiler.trees import (
    LEAF,
    TREES,
    Ensemble,
    Tree,
    outputs_of,
    read_tree,
)

_BAGGING = (BaggingClassifier, BaggingRegressor)


def is_bag_of_trees(estimator: Any) -> bool:
    """Whether a fitted estimator is a bag of single trees of scikit-learn."""
    if type(estimator) not in _BAGGING:
        return False
    return all(type(part) in TREES for part in estimator.estimators_)


def read_bag_of_trees(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    """Read a bag for which `is_bag_of_trees` holds; see `read_ensemble`."""
    parts = estimator.estimators_
    if columns and any(len(part.classes_) != len(columns) for part in parts):
        raise NotCompiled("a tree of the bag knows other classes than the whole")
    # What no tree gets is not validated either.
    seen = np.unique(np.concatenate(estimator.estimators_features_))
    order = [int(index) for index in seen]
    trees = [
        _with_features(read_tree(part.tree_, columns), np.searchsorted(seen, given))
        for part, given in zip(parts, estimator.estimators_features_)
    ]
    takes_missing = all(get_tags(part).input_tags.allow_nan for part in parts)
    ensemble = Ensemble(
        trees,
        baselines=[0.0],
        link="mean",
        is_single=True,
        takes_missing=takes_missing and not encoding.is_sparse,
        outputs=outputs_of(columns),
    )
    return ensemble, encoding.with_features(order, encoding.matrix[:, order])


def _with_features(tree: Tree, numbers: Any) -> Tree:
    """The same tree where feature k is number k of the whole."""
    is_leaf = tree.feature == LEAF
    return replace(
        tree,
        feature=np.where(is_leaf, LEAF, numbers[np.where(is_leaf, 0, tree.feature)]),
    )
