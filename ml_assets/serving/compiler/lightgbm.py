"""LightGBM's models, read from their text (``version=v4``).

Inputs, thresholds and sums are float64. Before a tree sees a number that is closer to
zero than `NEAR_ZERO`, it is zero; a missing one is zero, too, except where a split was
trained on missing ones. Where zeros were taken for missing, both have their own side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import Encoding, NotCompiled
from ml_assets.serving.compiler.trees import (
    LEAF,
    NEAR_ZERO,
    CategorySplits,
    Ensemble,
    Tree,
    outputs_of,
)
from ml_assets.serving.runtime.program import LinkName

VERSION = "v4"
# Of a split's type: by categories, and where what is missing goes; then what that is.
_CATEGORIES, _DEFAULT_LEFT = 1, 2
_ZERO, _NAN = 1, 2
_BINARY: dict[str, LinkName] = dict.fromkeys(("binary", "cross_entropy"), "logit")
_CLASSES: dict[str, LinkName] = {
    "multiclass": "softmax_by_libm",
    "multiclassova": "logits",
}
_VALUES: dict[str, LinkName] = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair"), "identity"),
    **dict.fromkeys(("quantile", "mape"), "identity"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp_by_libm"),
}
Fields = dict[str, str]


def read_lightgbm(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    """Read an LGBMClassifier or LGBMRegressor; `columns` as in `read_model`.

    The encoding that comes back has a feature more for each split by categories.

    Raises
    ------
    NotCompiled
        If the model is no sum of trees whose leaves are numbers.
    """
    return read_text(estimator.booster_.model_to_string(), encoding, columns)


def read_text(
    text: str, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    """Read the text of a booster; see `read_lightgbm`."""
    head, *sections = text.partition("\nend of trees")[0].split("\nTree=")
    fields = _fields(head)
    if fields.get("version") != VERSION:
        raise NotCompiled(
            f"LightGBM's text is of version {fields.get('version')}, expected {VERSION}"
        )
    if "average_output" in head.splitlines():
        raise NotCompiled("LightGBM's averaged trees (boosting_type rf)")
    link, slope = _link(fields.get("objective", "none").split(), columns)
    if int(fields["num_tree_per_iteration"]) != outputs_of(columns):
        raise NotCompiled(
            f"LightGBM's model has {fields['num_tree_per_iteration']} outputs,"
            f" expected {outputs_of(columns)}"
        )
    splits = CategorySplits(encoding)
    ensemble = Ensemble(
        [_read_tree(_fields(section), splits) for section in sections],
        baselines=[0.0] * outputs_of(columns),
        link=link,
        is_single=False,
        takes_missing=True,
        takes_infinite=True,
        complement=len(columns) == 2 and columns[-1] == 0,
        outputs=outputs_of(columns),
        slope=slope,
    )
    return ensemble, splits.encoding()


def _fields(text: str) -> Fields:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, sign, value in pairs if sign}


def _link(objective: list[str], columns: list[int]) -> tuple[LinkName, float]:
    """The link, and what the sums are multiplied with before it."""
    name, *options = objective
    links = (_CLASSES if len(columns) > 2 else _BINARY) if columns else _VALUES
    if name not in links or "sqrt" in options:
        raise NotCompiled(f"LightGBM's objective {' '.join(objective)} is not compiled")
    given = dict(item.split(":") for item in options if ":" in item)
    return links[name], float(given.get("sigmoid", 1.0))


def _read_tree(fields: Fields, splits: CategorySplits) -> Tree:
    """The inner nodes, and after them the leaves."""
    if fields.get("is_linear", "0") != "0":
        raise NotCompiled("LightGBM's linear trees are not compiled")
    value = _numbers(fields, "leaf_value", float)
    leaves = len(value)
    inner = leaves - 1
    feature = _numbers(fields, "split_feature", int)[:inner]
    kinds = _numbers(fields, "decision_type", int)[:inner]
    threshold = _numbers(fields, "threshold", float)[:inner]
    default_left = (kinds & _DEFAULT_LEFT) > 0
    missing = kinds >> 2
    # A split by categories knows no zero.
    is_zero = (missing == _ZERO) & (kinds & _CATEGORIES == 0)
    zero_left = np.append(np.where(is_zero, default_left, -1), np.full(leaves, -1))
    missing_left = np.where(missing == _NAN, default_left, threshold >= 0.0)
    threshold = _around_zero(threshold)
    for node in np.flatnonzero(kinds & _CATEGORIES):
        number = int(fields["threshold"].split()[node])
        feature[node] = splits.feature(
            int(feature[node]), _bits(fields, number), missing_left=False
        )
        threshold[node], missing_left[node] = 0.5, False
    sides = [
        _numbers(fields, name, int)[:inner] for name in ("left_child", "right_child")
    ]
    # Leaf k is -1 - k.
    left, right = (np.where(side < 0, inner - 1 - side, side) for side in sides)
    ends = np.full(leaves, LEAF)
    return Tree(
        feature=np.append(feature, ends),
        threshold=np.append(threshold, np.zeros(leaves)),
        left=np.append(left, ends),
        right=np.append(right, ends),
        missing_left=np.append(missing_left, np.zeros(leaves, dtype=bool)),
        value=np.append(np.zeros(inner), value),
        zero_left=zero_left if is_zero.any() else None,
    )


def _numbers(fields: Fields, name: str, kind: type[int] | type[float]) -> NDArray[Any]:
    found = [kind(item) for item in fields.get(name, "").split()]
    return np.array(found, dtype=np.int64 if kind is int else np.float64)


def _around_zero(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest number that is at most each threshold, once it is zero near zero."""
    below = np.nextafter(-NEAR_ZERO, -np.inf)
    near = np.abs(threshold) <= NEAR_ZERO
    return np.where(near, np.where(threshold < 0.0, below, NEAR_ZERO), threshold)


def _bits(fields: Fields, number: int) -> NDArray[np.uint32]:
    """The categories of one split, a bit each."""
    bounds = _numbers(fields, "cat_boundaries", int)
    words = _numbers(fields, "cat_threshold", int)
    return words[bounds[number] : bounds[number + 1]].astype(np.uint32)
