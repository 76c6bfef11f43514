"""Small trees as bit masks: which leaves each value of each column leaves reachable.

The values of a source fall into bins between thresholds (or are codes of categories). A
bin decides every node on that source, so it decides which leaves of each tree can still
be reached: one bit a leaf. The AND over the sources leaves one bit a tree.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    NumericFeature,
)
from ml_assets.serving.compiler.pieces import in_pieces
from ml_assets.serving.compiler.thresholds import Guards, image, request_thresholds
from ml_assets.serving.compiler.trees import LEAF, NEAR_ZERO, Ensemble, Tree

# The sign bit stays free; above this many leaves a tree is several.
MAX_LEAVES = 63
MAX_TABLE_BYTES = 32 * 2**20
# The last number below those that count as zero, and the last of them.
ZEROS = (float(np.nextafter(-NEAR_ZERO, -np.inf)), NEAR_ZERO)

Tables = dict[str, NDArray[Any]]


def build_masks(
    ensemble: Ensemble, encoding: Encoding, guards: Guards
) -> Tables | None:
    """The tables of the ``masks`` kernel; None where they would be too large.

    The first columns of ``table`` and rows of ``values`` are trees of one leaf, the
    baselines: their bits are cleared where the value is refused.
    """
    pieces = in_pieces(ensemble, MAX_LEAVES)
    if pieces is None:
        return None
    ensemble = pieces
    leaves = max(int((tree.feature == LEAF).sum()) for tree in ensemble.trees)
    width, dtype = (32, np.int32) if leaves < 32 else (64, np.int64)
    first = len(ensemble.baselines)
    columns = len(ensemble.trees) + first
    leaf = (ensemble.outputs,) if ensemble.vectors else ()
    if columns * width * prod(leaf) * 8 > MAX_TABLE_BYTES:
        return None
    values = np.zeros((columns, width, *leaf), dtype=ensemble.dtype)
    values[:first, 0] = np.reshape(ensemble.baselines, (first, *[1] * len(leaf)))
    full = np.ones(columns, dtype=dtype)
    nodes: list[tuple[int, Tree, int, int, int]] = []
    for index, tree in enumerate(ensemble.trees, start=first):
        below, leaf_values = _leaf_bits(tree)
        values[index, : len(leaf_values)] = leaf_values
        full[index] = below[0]
        for inner in np.flatnonzero(tree.feature != LEAF).tolist():
            keep_left = below[0] & ~below[tree.right[inner]]
            keep_right = below[0] & ~below[tree.left[inner]]
            nodes.append((index, tree, inner, keep_left, keep_right))
    limits = _all_limits(ensemble, encoding)
    cuts = _all_cuts(limits, encoding, guards)
    sizes = [len(item) + 2 for item in cuts]
    sizes += [len(source.categories) + 2 for source in encoding.category]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if int(starts[-1]) * columns * (width // 8) > MAX_TABLE_BYTES:
        return None
    table = np.tile(full, (int(starts[-1]), 1))
    builder = _Builder(ensemble.is_single, encoding, limits, cuts)
    for column, tree, node, keep_left, keep_right in nodes:
        source, is_left = builder.decide(tree, node)
        rows = table[starts[source] : starts[source + 1], column]
        rows &= np.where(is_left, dtype(keep_left), dtype(keep_right))
    for number, bins in enumerate(_refused_bins(cuts, guards)):
        table[starts[number] : starts[number + 1]][bins] = 0
    return {
        "cuts": np.concatenate([np.empty(0), *cuts]),
        "cut_counts": np.array([len(item) for item in cuts], dtype=np.int64),
        "table": table,
        "values": values,
    }


def _leaf_bits(tree: Tree) -> tuple[list[int], list[Any]]:
    """For each node the bits of the leaves below it, and the leaves' values by bit."""
    below = [0] * len(tree.feature)
    values: list[Any] = []
    pending = [(0, False)]
    while pending:
        node, is_done = pending.pop()
        if tree.feature[node] == LEAF:
            below[node] = 1 << len(values)
            values.append(tree.value[node])
        elif is_done:
            below[node] = below[tree.left[node]] | below[tree.right[node]]
        else:
            pending.append((node, True))
            pending.append((int(tree.left[node]), False))
            pending.append((int(tree.right[node]), False))
    return below, values


def _all_limits(
    ensemble: Ensemble, encoding: Encoding
) -> dict[int, dict[float, float]]:
    """For each numeric feature: threshold of a tree, and on the request value."""
    found = {}
    for number, feature in enumerate(encoding.features):
        if isinstance(feature, NumericFeature):
            parts = [tree.threshold[tree.feature == number] for tree in ensemble.trees]
            if any(tree.zero_left is not None for tree in ensemble.trees):
                parts.append(np.array(ZEROS))
            inner = np.unique(np.concatenate(parts))
            outer = request_thresholds(feature, inner, ensemble.is_single)
            found[number] = dict(zip(inner.tolist(), outer.tolist()))
    return found


def _all_cuts(
    limits: dict[int, dict[float, float]], encoding: Encoding, guards: Guards
) -> list[NDArray[np.float64]]:
    """Sorted thresholds on the request values of each numeric source."""
    found = [row[~np.isnan(row)].tolist() for row in guards.limits]
    for number, outer in limits.items():
        found[encoding.features[number].source].extend(outer.values())
    return [np.unique(np.array(values, dtype=np.float64)) for values in found]


def _refused_bins(
    cuts: list[NDArray[np.float64]], guards: Guards
) -> list[NDArray[np.bool_]]:
    refused = []
    for source, item in enumerate(cuts):
        bins = np.zeros(len(item) + 2, dtype=bool)
        low, high = guards.limits[source]
        if not np.isnan(low):
            bins[: np.searchsorted(item, low) + 1] = True
        if not np.isnan(high):
            bins[np.searchsorted(item, high) + 1 :] = True
        bins[-1] = not guards.takes_missing[source]
        refused.append(bins)
    return refused + guards.refused


def _counts_as_zero(values: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.abs(values) <= NEAR_ZERO
    return found


class _Builder:
    """Which way each bin of a source goes at a node."""

    def __init__(
        self,
        is_single: bool,
        encoding: Encoding,
        limits: dict[int, dict[float, float]],
        cuts: list[NDArray[np.float64]],
    ) -> None:
        self._is_single = is_single
        self._encoding = encoding
        self._limits = limits
        self._cuts = cuts

    def decide(self, tree: Tree, node: int) -> tuple[int, NDArray[np.bool_]]:
        """Number of the source, and for each of its bins whether it goes left."""
        number = int(tree.feature[node])
        feature = self._encoding.features[number]
        threshold = float(tree.threshold[node])
        missing_left = bool(tree.missing_left[node])
        zero_left = -1 if tree.zero_left is None else int(tree.zero_left[node])
        if isinstance(feature, CategoryFeature):
            with np.errstate(over="ignore"):
                codes = feature.table.astype(np.float32 if self._is_single else float)
            is_left = np.where(np.isnan(codes), missing_left, codes <= threshold)
            if zero_left >= 0:
                is_zero = np.isnan(codes) | _counts_as_zero(codes)
                is_left = np.where(is_zero, bool(zero_left), is_left)
            return len(self._cuts) + feature.source, is_left
        cuts = self._cuts[feature.source]
        limit = self._limits[number][threshold]
        bins = np.arange(len(cuts) + 2)
        is_left = bins <= np.searchsorted(cuts, limit)
        filled = image(feature, np.array([feature.fill]), self._is_single)
        is_left[-1] = missing_left if np.isnan(filled[0]) else filled[0] <= threshold
        if zero_left >= 0:
            low, high = (self._limits[number][value] for value in ZEROS)
            is_zero = bins > np.searchsorted(cuts, low)
            is_zero &= bins <= np.searchsorted(cuts, high)
            is_zero[-1] = np.isnan(filled[0]) or _counts_as_zero(filled)[0]
            is_left[is_zero] = bool(zero_left)
        return feature.source, is_left
