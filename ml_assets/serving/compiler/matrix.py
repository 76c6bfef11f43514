"""The tables that build an estimator's input matrix, and the kernels that read it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.compiler.thresholds import Guards
from ml_assets.serving.compiler.trees import LEAF, Ensemble, Tree

Tables = dict[str, NDArray[Any]]


def build_matrix(
    encoding: Encoding, guards: Guards, used: set[int]
) -> tuple[Tables, dict[int, int]]:
    """Tables for the features in `used`, and the position of each of them."""
    positions: dict[int, int] = {}
    numeric: list[NumericFeature] = []
    by_category: list[list[tuple[int, CategoryFeature]]] = [
        [] for _ in encoding.category
    ]
    for number, feature in enumerate(encoding.features):
        if number not in used:
            continue
        if isinstance(feature, NumericFeature):
            positions[number] = len(numeric)
            numeric.append(feature)
        else:
            by_category[feature.source].append((number, feature))
    tables: Tables = {
        "limits": guards.limits,
        "takes_missing": guards.takes_missing,
        "numeric": np.array([item.source for item in numeric], dtype=np.int64),
        "scaling": np.array(
            [(item.fill, item.mean, item.scale) for item in numeric], dtype=np.float64
        ).reshape(-1, 3),
    }
    position = len(numeric)
    for index, items in enumerate(by_category):
        codes = len(encoding.category[index].categories) + 2
        tables[f"category_{index}"] = (
            np.array([feature.table for _, feature in items], dtype=np.float64)
            .reshape(-1, codes)
            .T.copy()
        )
        tables[f"refused_{index}"] = guards.refused[index]
        for number, _ in items:
            positions[number] = position
            position += 1
    return tables, positions


def build_walk(ensemble: Ensemble, encoding: Encoding, guards: Guards) -> Tables:
    """The tables of the ``walk`` kernel.

    Raises
    ------
    NotCompiled
        If a tree has a way of its own for zeros.
    """
    if any(tree.zero_left is not None for tree in ensemble.trees):
        raise NotCompiled("trees that are too large for masks take zeros for missing")
    used = {int(n) for tree in ensemble.trees for n in np.unique(tree.feature)} - {LEAF}
    tables, positions = build_matrix(encoding, guards, used)
    where = np.zeros(len(encoding.features) + 1, dtype=np.int64)
    for number, position in positions.items():
        where[number] = position
    parts = [_neighbours(tree) for tree in ensemble.trees]
    sizes = [len(tree.feature) for tree in ensemble.trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    order = [part[0] for part in parts]

    def gather(name: str) -> NDArray[Any]:
        return np.concatenate(
            [getattr(tree, name)[item] for tree, item in zip(ensemble.trees, order)]
        )

    feature = gather("feature")
    is_leaf = feature == LEAF
    threshold = np.where(is_leaf, np.inf, gather("threshold"))
    if ensemble.is_single:
        threshold = _float32_below(threshold)
    child = np.concatenate([part[1] + root for part, root in zip(parts, roots)])
    return tables | {
        "feature": np.where(is_leaf, 0, where[feature]).astype(np.int32),
        "threshold": threshold,
        "child": child.astype(np.int32),
        "missing_left": gather("missing_left") | is_leaf,
        "value": gather("value").astype(ensemble.dtype),
        "roots": roots.astype(np.int32),
        "depth": np.array([max(part[2] for part in parts)], dtype=np.int32),
        "baseline": np.array(ensemble.baselines, dtype=ensemble.dtype),
    }


def _float32_below(limits: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest float32 not above each limit, which decides alike for float32."""
    with np.errstate(over="ignore"):
        found = limits.astype(np.float32)
        down = np.nextafter(found, np.float32(-np.inf))
    return np.where(found.astype(np.float64) > limits, down, found)


def _neighbours(tree: Tree) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Order the nodes so that siblings are neighbours.

    Returns
    -------
    order : ndarray
        Old number of each new node.
    child : ndarray
        New number of each new node's left child; of a leaf, its own.
    depth : int
    """
    order = [0]
    child = []
    depth = 0
    level_end = 1
    position = 0
    while position < len(order):
        if position == level_end:
            depth += 1
            level_end = len(order)
        node = order[position]
        if tree.feature[node] == LEAF:
            child.append(position)
        else:
            child.append(len(order))
            order += [int(tree.left[node]), int(tree.right[node])]
        position += 1
    return np.array(order), np.array(child), depth


def build_linear(estimator: Any, encoding: Encoding, guards: Guards) -> Tables:
    """The tables of the ``linear`` kernel."""
    tables, positions = build_matrix(
        encoding, guards, set(range(len(encoding.features)))
    )
    given = np.atleast_2d(estimator.coef_)
    coefficients = np.empty((len(positions), len(given)))
    for number, position in positions.items():
        coefficients[position] = given[:, number]
    intercept = np.ravel(estimator.intercept_).astype(np.float64)
    return tables | {
        "coefficients": coefficients if len(given) > 1 else coefficients[:, 0],
        # Without one, scikit-learn has a single zero for all outputs.
        "intercept": np.broadcast_to(intercept, len(given)),
    }
