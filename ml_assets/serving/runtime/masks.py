"""Ensembles of small trees by bit masks: no tree is walked.

Each value looks up, for its bin, one bit a leaf that is still reachable. The AND over
the columns leaves exactly one bit a tree: the leaf. The exponent of that number as a
float is the leaf's index, and the leaves' values are added in scikit-learn's order.

One row uses Python's integers, thousands of bits wide: an AND of two costs 100 ns.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.joint import joined
from ml_assets.serving.runtime.links import link_of
from ml_assets.serving.runtime.program import Program, Tables, check
from ml_assets.serving.runtime.protocol import Refused
from ml_assets.serving.runtime.sources import Codes, Floats, Sources
from ml_assets.serving.runtime.sums import LeafSums

# As many rows as keep the masks of a chunk inside the second-level cache.
CHUNK_BYTES = 2**17
# Looked up here once, which a row would spend a tenth of its time with.
_DOUBLE, _LONG = np.dtype(np.float64), np.dtype(np.int64)
_accumulate = np.add.accumulate


class MaskKernel:
    """Answers rows for ensembles whose trees have at most 63 leaves."""

    def __init__(self, program: Program, sources: Sources, tables: Tables) -> None:
        self._sources = sources
        self._link = link_of(program)
        self._sum = LeafSums(program)
        self._outputs = program.outputs
        self._table = tables.take("table", "i4 i8", 2)
        self._dtype = self._table.dtype
        values = tables.take("values", "f4 f8", 2 + program.vectors, finite=True)
        cuts = tables.take("cuts", "f8", 1)
        counts = tables.take("cut_counts", "i8", 1)
        sizes = _check_sizes(program, self._table, values, cuts, counts)
        self._trees, self._width = values.shape[:2]
        self._values = values.reshape(self._trees * self._width, *values.shape[2:])
        self._row_bytes = self._trees * self._dtype.itemsize
        is_narrow = self._dtype.itemsize == 4
        self._float: Any = np.dtype("f4" if is_narrow else "f8")
        shift, bias = (23, 127) if is_narrow else (52, 1023)
        # As an array, of which numpy need not find out the type for each row.
        self._shift = np.array(shift, self._dtype)
        starts = np.arange(self._trees) * self._width
        self._offsets = (starts - bias).astype(self._dtype)
        # Of one row in 64 bits, which numpy need not convert to take the leaves.
        self._long_shift, self._long_offsets = np.array(52), starts - 1023
        self._split(program, np.split(cuts, np.cumsum(counts)[:-1]), sizes)

    def _split(self, program: Program, cuts: list[Floats], sizes: list[int]) -> None:
        blocks = np.split(self._table, np.cumsum(sizes)[:-1])
        numeric = len(program.numeric)
        self._joints = joined(program.category, CHUNK_BYTES // self._row_bytes)
        blocks[numeric:] = [
            _combined([blocks[numeric + number] for number in joint.numbers])
            for joint in self._joints
        ]
        # Without numeric sources there is one empty piece of cuts.
        cuts = cuts[:numeric]
        # NaN is searched beyond infinity: into the bin after the last.
        self._bounds = [np.append(item, np.inf) for item in cuts]
        self._blocks = blocks
        masks = [
            [int.from_bytes(row.tobytes(), "little") for row in block]
            for block in blocks
        ]
        self._derived = [
            (source.derived, cuts[i].tolist(), masks[i])
            for i, source in enumerate(program.numeric)
            if source.derived is not None
        ]
        self._numeric = [
            (source.column, cuts[i].tolist(), masks[i])
            for i, source in enumerate(program.numeric)
            if source.column is not None
        ]
        self._category = [
            (joint.key, joint.table, masks[numeric + i])
            for i, joint in enumerate(self._joints)
        ]

    def one(self, values: Sequence[Any]) -> Any:
        """The answer for one row of request values."""
        word = -1
        for column, cuts, masks in self._numeric:
            value = values[column]
            if value is None:
                word &= masks[-1]
            else:
                value = float(value)
                word &= masks[bisect_left(cuts, value) if value == value else -1]
        for key, codes, masks in self._category:
            word &= masks[codes[key(values)]]
        if self._derived:
            derived = self._sources.derived(values)
            for index, cuts, masks in self._derived:
                value = derived[index]
                word &= masks[bisect_left(cuts, value) if value == value else -1]
        if not word & 1:
            raise Refused(refusal(0))
        data = word.to_bytes(self._row_bytes, "little")
        found = np.frombuffer(data, self._dtype).astype(_DOUBLE).view(_LONG)
        found >>= self._long_shift
        found += self._long_offsets
        if self._outputs > 1:
            leaves = self._values[found.reshape(-1, 1)]
            return self._link.one(self._sum(leaves))
        # Accumulated, because a plain sum adds in pairs and rounds otherwise.
        return self._link.one(_accumulate(self._values[found]).item(-1))

    def many(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """The answers for request columns."""
        bins = self._numeric_bins(columns)
        bins += [joint.codes(columns) for joint in self._joints]
        rows = len(columns[0])
        totals = empty_totals(rows, self._outputs, self._values.dtype)
        chunk = max(16, CHUNK_BYTES // self._row_bytes)
        for start in range(0, rows, chunk):
            part = bins
            if rows > chunk:
                part = [item[start : start + chunk] for item in bins]
            totals[start : start + chunk] = self._totals(part, start)
        return self._link.many(totals)

    def _numeric_bins(self, columns: Sequence[Sequence[Any]]) -> list[Codes]:
        numbers = self._sources.numbers(columns)
        return [
            cuts.searchsorted(values) for cuts, values in zip(self._bounds, numbers)
        ]

    def _totals(self, bins: list[Codes], start: int) -> Floats:
        masks = self._blocks[0].take(bins[0], axis=0)
        buffer = np.empty_like(masks)
        for block, item in zip(self._blocks[1:], bins[1:]):
            block.take(item, axis=0, out=buffer, mode="clip")
            masks &= buffer
        if not masks[:, 0].all():
            raise Refused(refusal(start + int(np.argmin(masks[:, 0]))))
        found = masks.astype(self._float).view(masks.dtype)
        found >>= self._shift
        found += self._offsets
        return self._sum(self._values.take(found.T, axis=0))


def empty_totals(rows: int, outputs: int, dtype: Any) -> NDArray[Any]:
    """Room for the sums of some rows, those of an output as neighbours in memory."""
    return np.empty(rows, dtype) if outputs == 1 else np.empty((outputs, rows), dtype).T


def _combined(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """The masks of each combination of rows, the last block's rows fastest."""
    found = blocks[0]
    for block in blocks[1:]:
        found = (found[:, None] & block[None]).reshape(-1, block.shape[1])
    return found


def refusal(row: int) -> str:
    """The message for a row that the estimator does not take."""
    return (
        f"row {row} holds a value that the model cannot take: a number too large, or a"
        " missing value or unknown category where training saw none"
    )


def check_outputs(program: Program, trees: int, leaf: tuple[int, ...]) -> None:
    """Check that the trees give each output as many numbers."""
    outputs = program.outputs
    check(outputs > 0, f"{outputs} outputs are impossible")
    if program.vectors:
        check(leaf == (outputs,), f"a leaf does not hold {outputs} numbers")
    check(program.vectors or trees % outputs == 0, "the trees are not one an output")


def _check_sizes(
    program: Program,
    table: NDArray[Any],
    values: Floats,
    cuts: Floats,
    counts: NDArray[np.int64],
) -> list[int]:
    """Number of bins of each source."""
    check(len(counts) == len(program.numeric), "cut_counts is not one a source")
    check(bool((counts >= 0).all()), "cut_counts holds a negative count")
    check(int(counts.sum()) == len(cuts), "cut_counts does not add up to cuts")
    check(not bool(np.isnan(cuts).any()), "cuts holds NaN")
    sizes = [int(count) + 2 for count in counts]
    sizes += [len(source.categories) + 2 for source in program.category]
    check(bool(sizes), "the program has no source")
    check(
        len(table) == sum(sizes), f"table has {len(table)} rows, expected {sum(sizes)}"
    )
    check(values.shape[0] == table.shape[1] > 0, "values is not one row a tree")
    check(values.shape[1] == 8 * table.itemsize, "values is not one column a bit")
    check_outputs(program, values.shape[0], values.shape[2:])
    check(bool((table >= 0).all()), "table holds a mask with its sign bit set")
    # A leaf's index comes from its mask, so only a refused bin may have empty ones.
    check(bool((table[:, :1].astype(bool) <= (table != 0)).all()), "table has no leaf")
    return sizes
