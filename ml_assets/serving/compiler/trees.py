"""Fitted ensembles of trees in one form, whatever class they come from."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.utils import get_tags

from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.runtime.program import LinkName

LEAF = -1
# Nearer to it a number is zero for LightGBM.
NEAR_ZERO = float(np.float32(1e-35))
_BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_FORESTS = (
    *(RandomForestClassifier, ExtraTreesClassifier),
    *(RandomForestRegressor, ExtraTreesRegressor),
)
TREES = (
    *(DecisionTreeClassifier, ExtraTreeClassifier),
    *(DecisionTreeRegressor, ExtraTreeRegressor),
)
_LINKS: dict[str, LinkName] = {"IdentityLink": "identity", "LogLink": "exp"}


@dataclass(frozen=True)
class Tree:
    """One binary tree; a row goes left where its feature is at most the threshold.

    Attributes
    ----------
    feature : ndarray of int, shape (n_nodes,)
        Column of the estimator's input; -1 in a leaf.
    threshold : ndarray of float64, shape (n_nodes,)
    left, right : ndarray of int, shape (n_nodes,)
    missing_left : ndarray of bool, shape (n_nodes,)
        Where NaN goes.
    value : ndarray of float64, shape (n_nodes,) or (n_nodes, n_outputs)
        What the tree adds to the sum, or to each of the sums; read in leaves.
    zero_left : ndarray of int, shape (n_nodes,), or None
        Where numbers that count as zero and NaN go: 1 is left, 0 right, and -1 wherever
        other numbers go. None where that is so of all nodes.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    zero_left: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Ensemble:
    """Trees whose values are added in order, beginning with the baselines.

    Attributes
    ----------
    baselines : list of float
        One, or of trees that belong to several outputs in turn one for each output.
    outputs : int
        How many sums a row has.
    is_single : bool
        The estimator reads its input as float32.
    takes_missing : bool
        The estimator takes NaN.
    takes_infinite : bool
        The estimator takes infinite values.
    sums_single : bool
        The estimator adds in float32, and its link is of float32.
    slope : float
        What the sums are multiplied with before the link.
    """

    trees: list[Tree]
    baselines: list[float]
    link: LinkName
    is_single: bool
    takes_missing: bool
    complement: bool = False
    outputs: int = 1
    takes_infinite: bool = False
    sums_single: bool = False
    slope: float = 1.0

    @property
    def vectors(self) -> bool:
        """Whether a leaf holds a number for each output."""
        return self.outputs > len(self.baselines)

    @property
    def dtype(self) -> Any:
        """Of the sums."""
        return np.float32 if self.sums_single else np.float64


def read_ensemble(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    """Read a fitted ensemble; `columns` as in `read_model`.

    The encoding that comes back is the one that the trees' feature numbers refer to.

    Raises
    ------
    NotCompiled
        If the estimator is of another class.
    """
    if type(estimator) in _BOOSTING:
        return _read_boosting(estimator, encoding, columns)
    if type(estimator) in _FORESTS:
        fitted = [item.tree_ for item in estimator.estimators_]
    elif type(estimator) in TREES:
        fitted = [estimator.tree_]
    else:
        raise NotCompiled(f"{type(estimator).__name__} is not an estimator we compile")
    takes_missing = bool(get_tags(estimator).input_tags.allow_nan)
    ensemble = Ensemble(
        [read_tree(tree, columns) for tree in fitted],
        baselines=[0.0],
        link="mean",
        is_single=True,
        takes_missing=takes_missing and not encoding.is_sparse,
        outputs=outputs_of(columns),
    )
    return ensemble, encoding


def outputs_of(columns: list[int]) -> int:
    """How many numbers answer a row: one for each class, if they are more than two."""
    return len(columns) if len(columns) > 2 else 1


def read_tree(tree: Any, columns: list[int]) -> Tree:
    """Read a fitted tree of scikit-learn; `columns` as in `read_ensemble`."""
    is_leaf = tree.children_left == LEAF
    if tree.value.shape[1] != 1:
        raise NotCompiled(f"the estimator predicts {tree.value.shape[1]} targets")
    # Of a regression there is one number, of two classes that of the positive one.
    wanted: Any = slice(None) if len(columns) > 2 else (columns or [0])[-1]
    return Tree(
        feature=np.where(is_leaf, LEAF, tree.feature).astype(np.int64),
        threshold=tree.threshold.astype(np.float64),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        missing_left=tree.missing_go_to_left.astype(bool),
        value=tree.value[:, 0, wanted].astype(np.float64),
    )


def _read_boosting(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    encoding = _recode_categories(estimator, encoding)
    splits = CategorySplits(encoding)
    trees = [
        _read_predictor(predictor, splits)
        for iteration in estimator._predictors
        for predictor in iteration
    ]
    link: LinkName = "softmax" if len(columns) > 2 else "logit"
    if not columns:
        name = type(estimator._loss.link).__name__
        if name not in _LINKS:
            raise NotCompiled(f"the loss {estimator.loss!r} has the link {name}")
        link = _LINKS[name]
    ensemble = Ensemble(
        trees,
        baselines=np.ravel(estimator._baseline_prediction).tolist(),
        link=link,
        is_single=False,
        takes_missing=True,
        takes_infinite=True,
        complement=len(columns) == 2 and columns[-1] == 0,
        outputs=outputs_of(columns),
    )
    return ensemble, splits.encoding()


def _recode_categories(estimator: Any, encoding: Encoding) -> Encoding:
    """Apply the encoder inside the estimator, which puts native categories first."""
    flags = estimator.is_categorical_
    if flags is None:
        return encoding
    for flag, feature in zip(flags, encoding.features, strict=True):
        if flag and isinstance(feature, NumericFeature):
            raise NotCompiled("a number is a native category of the estimator")
    order = [*np.flatnonzero(flags), *np.flatnonzero(~flags)]
    matrix = np.asarray(estimator._preprocessor.transform(encoding.matrix))
    return encoding.with_features([int(index) for index in order], matrix)


class CategorySplits:
    """Turns a split by a set of codes into a feature of its own: 0 left, 1 right."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._features = list(encoding.features)
        self._known: dict[tuple[int, bytes], int] = {}

    def feature(self, index: int, bitset: Any, missing_left: bool) -> int:
        """Number of the feature that splits `index` as `bitset` does."""
        base = self._features[index]
        if not isinstance(base, CategoryFeature):
            raise NotCompiled("a number is split by a set of categories")
        bits = np.unpackbits(bitset.view(np.uint8), bitorder="little").astype(bool)
        codes = base.table
        missing = np.isnan(codes) | (codes < 0)
        # A code beyond the last bit goes right.
        is_left = np.isin(np.trunc(codes), np.flatnonzero(bits))
        is_left = np.where(missing, missing_left, is_left)
        key = (index, is_left.tobytes())
        if key not in self._known:
            self._known[key] = len(self._features)
            table = np.where(is_left, 0.0, 1.0)
            self._features.append(CategoryFeature(base.source, table))
        return self._known[key]

    def encoding(self) -> Encoding:
        """The encoding with the added features."""
        return replace(self._encoding, features=self._features)


def _read_predictor(predictor: Any, splits: CategorySplits) -> Tree:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    feature = np.where(is_leaf, LEAF, nodes["feature_idx"]).astype(np.int64)
    threshold = nodes["num_threshold"].astype(np.float64)
    missing_left = nodes["missing_go_to_left"].astype(bool)
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf):
        bitset = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        feature[node] = splits.feature(
            int(feature[node]), bitset, bool(missing_left[node])
        )
        threshold[node] = 0.5
    return Tree(
        feature=feature,
        threshold=threshold,
        left=np.where(is_leaf, LEAF, nodes["left"].astype(np.int64)),
        right=np.where(is_leaf, LEAF, nodes["right"].astype(np.int64)),
        missing_left=missing_left,
        value=nodes["value"].astype(np.float64),
    )
