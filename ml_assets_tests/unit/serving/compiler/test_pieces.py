"""Trees of more leaves than a mask has bits."""

import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from ml_assets.serving.compiler.pieces import in_pieces
from ml_assets.serving.compiler.trees import LEAF, Ensemble, Tree
from ml_assets.serving.runtime.sklearn_runtime import columns_of
from ml_assets_tests.kits.compiled_models import assert_same_bits, packed, rows


def whole_tree(depth: int, value: float) -> Tree:
    """A tree of ``2 ** depth`` leaves, of which number i takes the value i."""
    inner, leaves = 2**depth - 1, 2**depth
    numbers = np.arange(inner)
    level = np.floor(np.log2(numbers + 1)).astype(int)
    step = leaves / 2.0 ** (level + 1)
    threshold = (2 * (numbers + 1 - 2**level) + 1) * step - 0.5
    end = np.full(leaves, LEAF)
    return Tree(
        feature=np.concatenate([np.zeros(inner, dtype=int), end]),
        threshold=np.concatenate([threshold, np.zeros(leaves)]),
        left=np.concatenate([2 * numbers + 1, end]),
        right=np.concatenate([2 * numbers + 2, end]),
        missing_left=np.zeros(inner + leaves, dtype=bool),
        value=np.concatenate([np.zeros(inner), np.arange(leaves) * value]),
    )


def ensemble_of(*trees: Tree, baselines: int = 1) -> Ensemble:
    return Ensemble(
        list(trees),
        baselines=[0.0] * baselines,
        link="identity",
        is_single=False,
        takes_missing=True,
        outputs=baselines,
    )


def answer(tree: Tree, value: float) -> float:
    node = 0
    while tree.feature[node] != LEAF:
        side = tree.left if value <= tree.threshold[node] else tree.right
        node = int(side[node])
    return float(tree.value[node])


def test_pieces_have_few_leaves_and_add_up_to_the_tree():
    tree = whole_tree(7, 1.0)
    found = in_pieces(ensemble_of(tree), 63)
    assert found is not None and len(found.trees) == 4
    assert all((piece.feature == LEAF).sum() <= 63 for piece in found.trees)
    for value in range(128):
        answers = [answer(piece, value) for piece in found.trees]
        assert sum(answers) == value
        assert sum(item != 0 for item in answers) == (value > 0)


def test_a_sum_of_minus_zero_stays_what_it_is():
    found = in_pieces(ensemble_of(whole_tree(7, -0.0)), 63)
    assert found is not None
    total = -0.0
    for piece in found.trees:
        total += answer(piece, 100.0)
    assert np.signbit(total)


def test_pieces_of_several_outputs_come_in_turn():
    large, small = whole_tree(7, 1.0), whole_tree(2, 1.0)
    found = in_pieces(ensemble_of(small, large, small, small, baselines=2), 63)
    assert found is not None and len(found.trees) == 10
    for output, expected in ((0, 3.0 + 3.0), (1, 100.0 + 3.0)):
        trees = found.trees[output::2]
        assert sum(answer(piece, 100.0) for piece in trees) == expected


def test_small_trees_stay_as_they_are_and_huge_ones_are_left_to_the_walk():
    small = ensemble_of(whole_tree(5, 1.0))
    assert in_pieces(small, 63) is small
    assert in_pieces(ensemble_of(whole_tree(10, 1.0)), 63) is None


@pytest.mark.parametrize(
    ("estimator", "classes"),
    [
        (HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=150), ()),
        (RandomForestRegressor(5, max_leaf_nodes=150, random_state=0), ()),
        (RandomForestClassifier(5, max_leaf_nodes=150, random_state=0), "abc"),
        (HistGradientBoostingClassifier(max_iter=4, max_leaf_nodes=90), "abc"),
    ],
)
def test_trees_of_many_leaves_answer_bit_for_bit(estimator, classes, tmp_path):
    estimator.set_params(min_samples_leaf=1)
    pipeline, manifest, runtime = packed(tmp_path, estimator, True, tuple(classes))
    program = (tmp_path / "runtime.json").read_text()
    assert manifest.runtime == "compiled" and '"masks"' in program
    frame = rows(1, True, 200)[0]
    assert_same_bits(pipeline, runtime, frame, tuple(classes))
    assert len(runtime.predict_many(columns_of(runtime.signature, frame))) == 200
