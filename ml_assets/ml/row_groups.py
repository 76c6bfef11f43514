"""Rows that belong together: one hash for all rows of a group, a key, or both.

Where rows stay together by more than one list of columns (a person of two households),
all that is connected has one hash: the least of those of its groups. A group has the
same hash from week to week, unless a row comes that connects it with another.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_assets.ml.cell_hashes import Hashes


class Groups(NamedTuple):
    """The group of each row.

    Attributes
    ----------
    hashes : ndarray of uint64, shape (n_rows,)
        The same for rows of the same group.
    known : ndarray of bool, shape (n_rows,)
        False for a row that belongs to none: its hash counts nothing.
    """

    hashes: Hashes
    known: NDArray[np.bool_]


def joined(own: Hashes, groups: Sequence[Groups]) -> Hashes:
    """The hashes of rows, equal for those that any of `groups` connects.

    Parameters
    ----------
    own : ndarray of uint64, shape (n_rows,)
        The hash of a row that belongs to no group.

    Examples
    --------
    >>> yes, no = np.array([True, True, True]), np.array([True, True, False])
    >>> homes = Groups(np.array([5, 6, 0], dtype=np.uint64), no)
    >>> people = Groups(np.array([9, 8, 8], dtype=np.uint64), yes)
    >>> own = np.array([1, 2, 3], dtype=np.uint64)
    >>> joined(own, [homes]).tolist(), joined(own, [homes, people]).tolist()
    ([5, 6, 3], [5, 6, 6])
    """
    hashes = own
    for group in reversed(groups):
        hashes = np.where(group.known, group.hashes, hashes)
    if len(groups) < 2 or not len(own):
        return hashes
    component = _components(groups)
    for group in reversed(groups):
        least, known = _least(group, component)
        hashes = np.where(known[component], least[component], hashes)
    return hashes


def _least(group: Groups, component: NDArray[np.int64]) -> Groups:
    """The least hash of the group's rows in each component, and where it has any."""
    at, count = component[group.known], component.max() + 1
    least = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, at, group.hashes[group.known])
    return Groups(least, np.bincount(at, minlength=count) > 0)


def _components(groups: Sequence[Groups]) -> NDArray[np.int64]:
    """A number for each row, the same for rows that are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(groups[0].hashes)
    ends, nodes = [], rows
    for group in groups:
        at = np.flatnonzero(group.known)
        _, codes = np.unique(group.hashes[at], return_inverse=True)
        ends.append((at, nodes + codes))
        nodes += int(codes.max()) + 1 if len(codes) else 0
    start, end = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(start), bool), (start, end)), (nodes, nodes))
    found = connected_components(graph, directed=False)[1][:rows]
    return np.asarray(found, dtype=np.int64)
