"""Ensembles of large trees by walking all of them at once, level by level.

The two children of a node are neighbours, so that a step is ``child + goes_right``; a
leaf is its own child. Nothing in the arrays can make the walk longer than their depth.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.links import link_of
from ml_assets.serving.runtime.masks import check_outputs, empty_totals
from ml_assets.serving.runtime.matrix import Matrix
from ml_assets.serving.runtime.program import Program, Tables, check
from ml_assets.serving.runtime.sources import Floats, Sources
from ml_assets.serving.runtime.sums import LeafSums

ROWS = 2_048
# Walkers at once: their arrays stay inside the second-level cache.
WALKERS = 16_384
# A walker that has arrived is dropped at the next of these steps.
COMPACT_EVERY = 4


class WalkKernel:
    """Answers rows for ensembles of trees of any size."""

    def __init__(self, program: Program, sources: Sources, tables: Tables) -> None:
        self._matrix = Matrix(program, sources, tables)
        self._link = link_of(program)
        self._sum = LeafSums(program)
        self._outputs = program.outputs
        self._feature = tables.take("feature", "i4", 1).astype(np.intp)
        self._threshold = tables.take("threshold", "f4 f8", 1)
        self._child = tables.take("child", "i4", 1).astype(np.intp)
        self._missing_left = tables.take("missing_left", "b1", 1)
        self._value = tables.take("value", "f4 f8", 1 + program.vectors, finite=True)
        self._roots = tables.take("roots", "i4", 1).astype(np.intp)
        self._depth = int(tables.take("depth", "i4", 1).max(initial=0))
        self._baseline = tables.take("baseline", "f4 f8", 1, finite=True)
        self._check(program)

    def _check(self, program: Program) -> None:
        nodes = len(self._feature)
        lengths = [self._threshold, self._child, self._missing_left, self._value]
        check(all(len(item) == nodes for item in lengths), "nodes differ in number")
        check_outputs(program, len(self._roots), self._value.shape[1:])
        expected = 1 if program.vectors else program.outputs
        check(len(self._baseline) == expected, f"baseline is not {expected} numbers")
        check(nodes > 0 and len(self._roots) > 0, "there is no tree")
        check(0 <= self._depth <= nodes, f"a depth of {self._depth} is impossible")
        is_leaf = self._child == np.arange(nodes)
        last = np.where(is_leaf, self._child, self._child + 1)
        check(bool((self._child >= 0).all() and (last < nodes).all()), "child outside")
        stays = np.isposinf(self._threshold) & self._missing_left
        check(bool(stays[is_leaf].all()), "a leaf does not keep its rows")
        width = self._matrix.width
        inside = (self._feature >= 0) & (self._feature < max(width, 1))
        check(bool(inside.all()), f"feature outside 0 to {width - 1}")
        inside = (self._roots >= 0) & (self._roots < nodes)
        check(bool(inside.all()), "roots outside the nodes")

    def one(self, values: Sequence[Any]) -> Any:
        """The answer for one row of request values."""
        found = self.many([[value] for value in values])[0]
        return float(found) if self._outputs == 1 else found

    def many(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """The answers for request columns."""
        matrix = self._matrix.build(columns, self._threshold.dtype)
        totals = empty_totals(len(matrix), self._outputs, self._value.dtype)
        step = max(1, ROWS // self._outputs)
        for start in range(0, len(matrix), step):
            part = matrix[start : start + step]
            totals[start : start + step] = self._totals(part)
        return self._link.many(totals)

    def _totals(self, matrix: NDArray[Any]) -> Floats:
        rows = len(matrix)
        has_missing = bool(np.isnan(matrix).any())
        first = len(self._baseline)
        shape = (first + len(self._roots), rows, *self._value.shape[1:])
        values = np.empty(shape, self._value.dtype)
        values[:first] = self._baseline.reshape(first, *[1] * (len(shape) - 1))
        group = max(1, WALKERS // rows)
        at = first
        for start in range(0, len(self._roots), group):
            roots = self._roots[start : start + group]
            leaves = self._walk(matrix, roots, has_missing)
            values[at : at + len(roots)] = self._value.take(leaves, axis=0)
            at += len(roots)
        return self._sum(values)

    def _walk(
        self, matrix: NDArray[Any], roots: NDArray[np.intp], has_missing: bool
    ) -> NDArray[np.intp]:
        """The leaf of every tree for every row, of shape (n_roots, n_rows)."""
        rows, width = matrix.shape
        cells = matrix.ravel()
        leaves = np.repeat(roots, rows)
        walkers = np.arange(len(leaves))
        node = leaves.copy()
        base = np.tile(np.arange(rows) * width, len(roots))
        for step in range(1, self._depth + 1):
            value = cells.take(base + self._feature.take(node))
            goes_left = value <= self._threshold.take(node)
            if has_missing:
                goes_left |= np.isnan(value) & self._missing_left.take(node)
            node = self._child.take(node) + ~goes_left
            if step % COMPACT_EVERY == 0:
                is_under_way = self._child.take(node) != node
                leaves[walkers] = node
                walkers, node = walkers[is_under_way], node[is_under_way]
                base = base[is_under_way]
        leaves[walkers] = node
        return leaves.reshape(len(roots), rows)
