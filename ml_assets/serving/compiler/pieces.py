"""Trees of more leaves than a mask has bits, as several trees that add up to each.

A piece has the leaves below one node, and beside the path to it leaves that add
nothing. For every row one piece gives the tree's value and the others minus zero, which
changes no sum: not even one of minus zero, as zero would.
"""

from dataclasses import replace
from itertools import chain, zip_longest

import numpy as np

from ml_assets.serving.compiler.trees import LEAF, Ensemble, Tree

NOTHING = -0.0
# Of a tree on average. One row is still several times faster than on a walk, and many
# rows are as fast (100 trees of 256 leaves).
MAX_PIECES = 8


def in_pieces(ensemble: Ensemble, most: int) -> Ensemble | None:
    """The same sums from trees that have at most `most` leaves.

    None where there is no such ensemble, or walking the trees would be faster.
    """
    leaves = sum(int((tree.feature == LEAF).sum()) for tree in ensemble.trees)
    if leaves > MAX_PIECES * most * len(ensemble.trees):
        return None
    parts = [_pieces(tree, most) for tree in ensemble.trees]
    count = sum(map(len, parts))
    if count == len(parts):
        return ensemble
    largest = max(_leaves_below(piece)[0] for part in parts for piece in part)
    if largest > most or count > MAX_PIECES * len(parts):
        return None
    # Trees of several outputs come in turn, and so have their pieces.
    turn = len(ensemble.baselines)
    nothing = _leaf(ensemble.trees[0])
    trees = chain.from_iterable(
        chain.from_iterable(zip_longest(*parts[at : at + turn], fillvalue=nothing))
        for at in range(0, len(parts), turn)
    )
    return replace(ensemble, trees=list(trees))


def _leaf(like: Tree) -> Tree:
    """A tree that adds nothing."""
    none = np.array([LEAF])
    return Tree(
        feature=none,
        threshold=np.zeros(1),
        left=none,
        right=none,
        missing_left=np.zeros(1, dtype=bool),
        value=np.full_like(like.value[:1], NOTHING),
    )


def _pieces(tree: Tree, most: int) -> list[Tree]:
    leaves = _leaves_below(tree)
    if leaves[0] <= most:
        return [tree]
    found = []
    pending: list[list[int]] = [[0]]
    while pending:
        path = pending.pop()
        node = path[-1]
        # One more leaf beside each step of the path.
        if tree.feature[node] == LEAF or leaves[node] + len(path) - 1 <= most:
            found.append(_piece(tree, path))
        else:
            pending.append([*path, int(tree.right[node])])
            pending.append([*path, int(tree.left[node])])
    return found


def _leaves_below(tree: Tree) -> list[int]:
    """How many leaves are below each node; 0 for one that no path reaches."""
    leaves = [0] * len(tree.feature)
    for node in reversed(_below(tree, 0)):
        is_leaf = tree.feature[node] == LEAF
        left, right = tree.left[node], tree.right[node]
        leaves[node] = 1 if is_leaf else leaves[left] + leaves[right]
    return leaves


def _below(tree: Tree, root: int) -> list[int]:
    """The nodes from `root` on, each after its parent."""
    nodes = [root]
    for node in nodes:
        if tree.feature[node] != LEAF:
            nodes += [int(tree.left[node]), int(tree.right[node])]
    return nodes


def _piece(tree: Tree, path: list[int]) -> Tree:
    """The path, what is below its last node, and a leaf beside each of its steps."""
    nodes = np.array([*path[:-1], *_below(tree, path[-1])])
    # Nodes beside the path get the numbers after the last.
    position = np.full(len(tree.feature), LEAF)
    position[nodes] = np.arange(len(nodes))
    is_leaf = tree.feature[nodes] == LEAF
    steps = len(path) - 1
    beside = np.arange(len(nodes), len(nodes) + steps)
    sides = []
    for given in (tree.left, tree.right):
        side = np.where(is_leaf, LEAF, position[np.where(is_leaf, 0, given[nodes])])
        side[:steps] = np.where(side[:steps] == LEAF, beside, side[:steps])
        sides.append(np.append(side, np.full(steps, LEAF)))
    nothing = np.full((steps, *tree.value.shape[1:]), NOTHING)
    zero_left = tree.zero_left
    if zero_left is not None:
        zero_left = np.append(zero_left[nodes], np.full(steps, -1))
    return Tree(
        feature=np.append(tree.feature[nodes], np.full(steps, LEAF)),
        threshold=np.append(tree.threshold[nodes], np.zeros(steps)),
        left=sides[0],
        right=sides[1],
        missing_left=np.append(tree.missing_left[nodes], np.zeros(steps, dtype=bool)),
        value=np.concatenate([tree.value[nodes], nothing]),
        zero_left=zero_left,
    )
