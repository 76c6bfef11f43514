"""The classes of a model are those of its first training, whatever comes later."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.tasks import Binary, encode_target

YES = Binary("no", "yes")


def target(*values: Any) -> "pd.Series[Any]":
    return pd.Series(values, name="churned")


@pytest.mark.parametrize("share", [0.05, 0.47, 0.5, 0.53, 0.95])
@pytest.mark.parametrize("pinned", [YES, Binary("yes", "no")])
def test_the_positive_class_does_not_depend_on_which_is_rarer(
    share: float, pinned: Binary
) -> None:
    column = pd.Series(np.where(np.arange(100) < share * 100, "yes", "no"))
    labels = encode_target(column, pinned=pinned)
    assert labels.task == pinned
    assert labels.y.tolist() == (column == pinned.positive).astype(int).tolist()


@pytest.mark.parametrize("negative, positive", [(0, 1), ("0", "1"), (False, True)])
@pytest.mark.parametrize(
    "column",
    [
        target(0, 1, 1),
        target(0.0, 1.0, 1.0),
        target("0", "1", "1"),
        target("0.0", "1.0", "1.0"),
        target(False, True, True),
        target("False", "True", "True"),
        target("false", "TRUE", "TRUE"),
        target("0", "1", "1").astype("category"),
    ],
    ids=str,
)
def test_one_class_in_another_spelling_is_the_same_class(
    column: "pd.Series[Any]", negative: Any, positive: Any
) -> None:
    pinned = Binary(negative, positive)
    for given in (None, positive):
        labels = encode_target(column, given, pinned)
        assert labels.y.tolist() == [0, 1, 1]
        # Answers keep the spelling of the first training.
        assert labels.task == pinned
        assert [*map(type, labels.task.labels)] == [type(negative), type(positive)]
    assert pinned.encode(column).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "column, message",
    [
        (target("no", "maybe"), "'maybe' is new, 'yes' is gone"),
        (target("no", "yes", "maybe"), "'maybe' is new"),
        (target("no", "no"), "'yes' is gone"),
        (target("n", "y"), "'n', 'y' are new, 'no' and 'yes' are gone"),
    ],
)
def test_a_class_that_comes_or_goes_is_named(
    column: "pd.Series[Any]", message: str
) -> None:
    with pytest.raises(FeatureError, match=message):
        encode_target(column, pinned=YES)


def test_an_explicit_choice_wins_over_the_first_training() -> None:
    labels = encode_target(target("no", "yes", "no"), "no", YES)
    assert labels.task == Binary("yes", "no")
    assert labels.y.tolist() == [1, 0, 1]


def test_renamed_classes_are_taken_where_the_yaml_says_the_positive() -> None:
    with pytest.raises(FeatureError, match="the key `positive`"):
        encode_target(target("stays", "leaves"), pinned=YES)
    found = encode_target(target("stays", "leaves"), "leaves", YES)
    assert found.task == Binary("stays", "leaves")


def test_rows_of_one_class_are_scored_in_the_classes_of_a_version() -> None:
    assert YES.encode(target("no", "no")).tolist() == [0, 0]
    with pytest.raises(FeatureError, match="has the value 'maybe'"):
        YES.encode(target("no", "maybe"))
