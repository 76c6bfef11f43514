"""The request schema read off training data."""

import pandas as pd
import pytest

from ml_assets.ml.schema import kind_of, signature_columns
from ml_assets.records.plan import Column
from ml_assets.records.signature import MAX_CATEGORIES


@pytest.mark.parametrize(
    "values, dtype, kind",
    [
        ([1, 2], "int64", "integer"),
        ([1, 2], "uint8", "integer"),
        ([1, None], "Int64", "integer"),
        ([1.0, 2.0], "float64", "number"),
        ([1, None], "float64", "number"),
        ([True, False], "bool", "boolean"),
        ([True, None], "boolean", "boolean"),
        ([True, None], "object", "boolean"),
        (["a", None], "str", "string"),
        (["a", None], "object", "string"),
        (["a", "b"], "category", "string"),
        ([1, 2], "category", "integer"),
        ([None, None], "object", "string"),
    ],
)
def test_kind_follows_the_type_of_the_column(values, dtype, kind):
    assert kind_of(pd.Series(values, dtype=dtype)) == kind


@pytest.mark.parametrize(
    "values, found",
    [
        (pd.to_datetime(["2026-01-01"]), "datetime64"),
        (pd.Series([1, "a"], dtype=object), "mixed-integer"),
    ],
)
def test_values_that_json_cannot_carry_are_refused_by_column(values, found):
    frame = pd.DataFrame({"signed_on": values})
    with pytest.raises(TypeError, match=f"column signed_on: expected .*found {found}"):
        signature_columns(frame, ["signed_on"])


def test_categories_are_sorted_and_those_that_no_row_holds_are_left_out():
    sex = pd.Categorical(["b", None, "a"], categories=["b", "unused", "a"])
    assert signature_columns(pd.DataFrame({"sex": sex}), ["sex"]) == (
        Column(
            name="sex", kind="string", nullable=True, categories=("a", "b"), open=True
        ),
    )


@pytest.mark.parametrize(
    "distinct, is_listed", [(MAX_CATEGORIES, True), (MAX_CATEGORIES + 1, False)]
)
def test_free_text_has_no_list_of_categories(distinct, is_listed):
    frame = pd.DataFrame({"id": [f"id-{n}" for n in range(distinct)] * 3})
    (column,) = signature_columns(frame, ["id"])
    assert (column.categories is not None) is is_listed


@pytest.mark.parametrize(
    "counts, unknown, is_open",
    [
        ([500, 500], "auto", False),
        ([1000, 999, 1], "auto", False),
        ([400, 399, 1], "auto", True),
        ([20, 5, 1, 1], "auto", True),
        ([20] * 64, "auto", False),
        ([20] * 65, "auto", True),
        ([20, 5, 1, 1], "reject", False),
        ([20] * 65, "reject", False),
        ([500, 500], "accept", True),
        ([1] * 150, "reject", True),
    ],
)
def test_a_list_is_closed_where_the_rows_say_that_it_is_whole(counts, unknown, is_open):
    values = [f"value {n:03}" for n, count in enumerate(counts) for _ in range(count)]
    (column,) = signature_columns(pd.DataFrame({"a": values}), ["a"], unknown)
    assert column.open is is_open


def test_columns_come_in_the_order_asked_for():
    frame = pd.DataFrame({"a": [1], "b": [1.5], "target": ["x"]})
    assert [column.name for column in signature_columns(frame, ["b", "a"])] == [
        "b",
        "a",
    ]


def test_a_column_that_training_lacks_is_named_with_those_it_has():
    with pytest.raises(KeyError, match="no column wage; it has age"):
        signature_columns(pd.DataFrame({"age": [1]}), ["age", "wage"])
