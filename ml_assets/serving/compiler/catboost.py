"""CatBoost's models, read from their JSON: trees on float features.

Inputs and borders are float32, sums and links float64. A row goes right where its
feature is above the border; in an oblivious tree, which is the usual one, all nodes of
a level ask the same question. The bias is added after the trees. Its own exponential
is written for x86 alone: on other processors it takes that of the C library.
"""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ml_assets.serving.compiler.encoding import NotCompiled
from ml_assets.serving.compiler.trees import LEAF, Ensemble, Tree, outputs_of
from ml_assets.serving.runtime.program import LinkName

_BINARY: dict[str, LinkName] = {"Logloss": "logit", "CrossEntropy": "logit"}
_CLASSES: dict[str, LinkName] = {
    "MultiClass": "softmax_by_table",
    "MultiClassOneVsAll": "logits",
}
_VALUES: dict[str, LinkName] = {
    **dict.fromkeys(("RMSE", "MAE", "MAPE", "Quantile", "Expectile"), "identity"),
    **dict.fromkeys(("Huber", "LogCosh", "Lq"), "identity"),
    **dict.fromkeys(("Poisson", "Tweedie"), "exp_by_table"),
}
_WITHOUT_TABLE: dict[LinkName, LinkName] = {
    "softmax_by_table": "softmax_by_libm",
    "exp_by_table": "exp_by_libm",
}
_X86 = {"x86_64", "AMD64"}
_OTHER_FEATURES = ("categorical_features", "text_features", "embedding_features")
# Of the model's float features by their number.
Features: TypeAlias = dict[int, dict[str, Any]]


def read_catboost(estimator: Any, columns: list[int]) -> Ensemble:
    """Read a CatBoostClassifier or CatBoostRegressor; `columns` as in `read_model`.

    Raises
    ------
    NotCompiled
        If the model is no sum of trees on numbers.
    """
    # CatBoost writes JSON to files alone.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.json"
        estimator.save_model(str(path), format="json")
        document = json.loads(path.read_bytes())
    return read_document(document, columns)


def read_document(document: dict[str, Any], columns: list[int]) -> Ensemble:
    """Read the JSON of a model; see `read_catboost`."""
    outputs = outputs_of(columns)
    link = _link(document["model_info"], columns)
    for kind in _OTHER_FEATURES:
        if document["features_info"].get(kind):
            raise NotCompiled(f"CatBoost's {kind.replace('_', ' ')} are not compiled")
    scale, bias = document["scale_and_bias"]
    if scale != 1:
        raise NotCompiled(f"CatBoost's model has the scale {scale}, expected 1")
    features = {
        item["feature_index"]: item
        for item in document["features_info"]["float_features"]
    }
    if "oblivious_trees" in document:
        trees = [_oblivious(tree, features) for tree in document["oblivious_trees"]]
    else:
        trees = [_other(tree, features) for tree in document["trees"]]
    nodes = [*trees, _Nodes([], [], [], [], [], [np.ravel(bias)])]
    return Ensemble(
        [_tree(item, outputs) for item in nodes],
        baselines=[0.0],
        link=link,
        is_single=True,
        takes_missing=True,
        takes_infinite=True,
        complement=len(columns) == 2 and columns[-1] == 0,
        outputs=outputs,
    )


def _link(info: dict[str, Any], columns: list[int]) -> LinkName:
    loss = info["params"]["loss_function"]["type"]
    links = (_CLASSES if len(columns) > 2 else _BINARY) if columns else _VALUES
    if loss not in links:
        raise NotCompiled(f"CatBoost's loss function {loss} is not compiled")
    link = links[loss]
    return link if platform.machine() in _X86 else _WITHOUT_TABLE.get(link, link)


class _Nodes(NamedTuple):
    """A tree whose leaves come after all its inner nodes."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    missing_left: list[bool]
    values: list[Any]


def _oblivious(tree: dict[str, Any], features: Features) -> _Nodes:
    """A whole binary tree: the answer of level i is bit i of the leaf's number."""
    splits = tree["splits"] or []
    leaves = 1 << len(splits)
    values = np.array(tree["leaf_values"], dtype=np.float64).reshape(leaves, -1)
    nodes = _Nodes([], [], [], [], [], list(values))
    for level, split in enumerate(splits):
        count = 1 << level
        for name, item in _question(split, features).items():
            getattr(nodes, name).extend([item] * count)
        first = 2 * count - 1
        nodes.left.extend(range(first, first + count))
        nodes.right.extend(range(first + count, first + 2 * count))
    return nodes


def _other(tree: dict[str, Any], features: Features) -> _Nodes:
    """A tree of another grow policy, whose nodes hold each other."""
    inner, leaves = [], []
    pending = [tree]
    for node in pending:
        if "split" in node:
            inner.append(node)
            pending += [node["left"], node["right"]]
        else:
            leaves.append(node)
    number = {id(node): at for at, node in enumerate([*inner, *leaves])}
    nodes = _Nodes([], [], [], [], [], [np.ravel(leaf["value"]) for leaf in leaves])
    for node in inner:
        for name, item in _question(node["split"], features).items():
            getattr(nodes, name).append(item)
        nodes.left.append(number[id(node["left"])])
        nodes.right.append(number[id(node["right"])])
    return nodes


def _question(split: dict[str, Any], features: Features) -> dict[str, Any]:
    if split["split_type"] != "FloatFeature":
        raise NotCompiled(f"CatBoost's splits by {split['split_type']}")
    item = features[split["float_feature_index"]]
    return {
        "feature": item["flat_feature_index"],
        "threshold": split["border"],
        # NaN is above no border, except where training put it there.
        "missing_left": item["nan_value_treatment"] != "AsTrue",
    }


def _tree(nodes: _Nodes, outputs: int) -> Tree:
    values = np.array(nodes.values, dtype=np.float64)
    if values.shape[1] != outputs:
        raise NotCompiled(f"CatBoost's model predicts {values.shape[1]} targets")
    leaves = [LEAF] * len(values)
    value = np.concatenate([np.zeros((len(nodes.feature), outputs)), values])
    return Tree(
        feature=np.array([*nodes.feature, *leaves], dtype=np.int64),
        threshold=np.array([*nodes.threshold, *[0.0] * len(leaves)]),
        left=np.array([*nodes.left, *leaves], dtype=np.int64),
        right=np.array([*nodes.right, *leaves], dtype=np.int64),
        missing_left=np.array([*nodes.missing_left, *[False] * len(leaves)]),
        value=value if outputs > 1 else value[:, 0],
    )
