"""XGBoost's models, read from their JSON (the format of version 1.6 and later).

Inputs, thresholds, sums and links are float32; a row goes left where its feature is
below the threshold, and the sums of a tree's leaves begin with the base margin.
"""

import json
from math import isnan, log
from typing import Any

import numpy as np

from ml_assets.serving.compiler.encoding import Encoding, NotCompiled
from ml_assets.serving.compiler.trees import LEAF, Ensemble, Tree, outputs_of
from ml_assets.serving.runtime.program import LinkName

_BINARY: dict[str, LinkName] = {"binary:logistic": "logit_single"}
_CLASSES: dict[str, LinkName] = {"multi:softprob": "softmax_single"}
_VALUES: dict[str, LinkName] = {
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:squaredlogerror": "identity",
    "count:poisson": "exp_single",
    "reg:gamma": "exp_single",
    "reg:tweedie": "exp_single",
}


def read_xgboost(estimator: Any, encoding: Encoding, columns: list[int]) -> Ensemble:
    """Read an XGBClassifier or XGBRegressor; `columns` as in `read_model`.

    Raises
    ------
    NotCompiled
        If the model is no sum of trees that split numbers.
    """
    missing = estimator.missing
    if missing is not None and not isnan(missing):
        raise NotCompiled(f"XGBoost takes {missing!r} for missing, expected NaN")
    if encoding.is_sparse:
        raise NotCompiled("XGBoost takes the zeros of a sparse matrix for missing")
    return read_document(json.loads(estimator.get_booster().save_raw("json")), columns)


def read_document(document: dict[str, Any], columns: list[int]) -> Ensemble:
    """Read the JSON of a booster; see `read_xgboost`."""
    learner = document["learner"]
    objective = learner["objective"]["name"]
    outputs = outputs_of(columns)
    links = (_CLASSES if outputs > 1 else _BINARY) if columns else _VALUES
    if objective not in links:
        raise NotCompiled(f"XGBoost's objective {objective} is not compiled")
    return Ensemble(
        _read_trees(learner, outputs),
        baselines=_base_margins(learner, links[objective], outputs),
        link=links[objective],
        is_single=True,
        takes_missing=True,
        takes_infinite=True,
        sums_single=True,
        outputs=outputs,
    )


def _read_trees(learner: dict[str, Any], outputs: int) -> list[Tree]:
    """The trees of the outputs in turn, each output's in the order of the model."""
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise NotCompiled(f"XGBoost's booster {booster['name']} is not compiled")
    model = booster["model"]
    count = len(model["trees"])
    best = learner["attributes"].get("best_iteration")
    if best is not None:
        # What early stopping found, as the estimator's own predictions have it.
        count = model["iteration_indptr"][int(best) + 1]
    by_output: list[list[Tree]] = [[] for _ in range(outputs)]
    for tree, output in zip(model["trees"][:count], model["tree_info"]):
        if output >= outputs:
            raise NotCompiled("XGBoost's model predicts several targets")
        by_output[output].append(_read_tree(tree))
    # A number of parallel trees of one output stand beside each other.
    return [tree for turn in zip(*by_output, strict=True) for tree in turn]


def _read_tree(tree: dict[str, Any]) -> Tree:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise NotCompiled("XGBoost's trees of several outputs are not compiled")
    if any(tree["split_type"]):
        raise NotCompiled("XGBoost's own categorical splits are not compiled")
    left = np.array(tree["left_children"], dtype=np.int64)
    is_leaf = left == LEAF
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    return Tree(
        feature=np.where(is_leaf, LEAF, tree["split_indices"]).astype(np.int64),
        # Below a threshold is at most the float32 before it.
        threshold=np.nextafter(condition, np.float32(-np.inf)).astype(np.float64),
        left=left,
        right=np.array(tree["right_children"], dtype=np.int64),
        missing_left=np.array(tree["default_left"], dtype=bool),
        value=condition.astype(np.float64),
    )


def _base_margins(learner: dict[str, Any], link: LinkName, outputs: int) -> list[float]:
    """The base score of each output on the scale of the sums."""
    text = learner["learner_model_param"]["base_score"]
    # Before version 3.1 it was one number.
    scores = np.ravel(json.loads(text)).astype(np.float32)
    if link == "logit_single":
        odds = np.float32(1.0) / scores - np.float32(1.0)
        scores = np.array([-log(odd) for odd in odds.tolist()])
    elif link == "exp_single":
        scores = np.array([log(score) for score in scores.tolist()])
    margins: list[float] = scores.astype(np.float32).tolist()
    return margins * outputs if len(margins) == 1 else margins
