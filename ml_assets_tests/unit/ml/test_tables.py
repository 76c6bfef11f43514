"""Tidy tables, the target check, and the content hash."""

import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.tables import DataError, check_target, content_hash, tidy

TABLE = {
    "age": [31, 52],
    "score": [0.5, np.nan],
    "ok": [True, False],
    "sex": ["m", "f"],
}


@pytest.mark.parametrize(
    "cells, dtype",
    [
        ([1, 2], "int64"),
        (pd.array([1, 2], dtype="Int8"), "int64"),
        (pd.array([1, None], dtype="Int8"), "float64"),
        (np.array([1, 2], dtype="uint64"), "int64"),
        (np.array([1, 2**64 - 1], dtype="uint64"), "float64"),
        (np.array([1, 2], dtype="float16"), "float64"),
        ([Decimal("1.5"), None], "float64"),
        ([1, None], "float64"),
        ([True, False], "bool"),
        (pd.array([True, None], dtype="boolean"), "category"),
        (["b", None], "category"),
        ([date(2024, 1, 31), None], "category"),
        (pd.Categorical([2, 1]), "int64"),
        (pd.Categorical(["b", "a"], categories=["b", "a", "z"]), "category"),
    ],
)
def test_every_column_becomes_one_of_four_kinds(cells: Any, dtype: str) -> None:
    column = tidy(pd.DataFrame({"c": cells}))["c"]
    assert column.dtype == dtype
    if dtype == "category":
        categories = column.cat.categories.tolist()
        assert categories == sorted(set(column.dropna()))


def test_a_tidy_table_is_left_as_it_is() -> None:
    table = tidy(pd.DataFrame(TABLE))
    pd.testing.assert_frame_equal(tidy(table), table)


def test_the_index_is_dropped() -> None:
    assert tidy(pd.DataFrame(TABLE, index=[7, 3])).index.tolist() == [0, 1]


@pytest.mark.parametrize(
    "frame, message",
    [
        (pd.DataFrame(), "there are no columns"),
        (pd.DataFrame({"a": []}), "there are columns but no rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a' appears 2 times"),
        (pd.DataFrame([[1, 2]], columns=["", " "]), "there are no columns"),
        (
            pd.DataFrame({"a": [timedelta(1)]}),
            "column 'a' holds timedelta64 values; numbers, texts, Booleans and dates"
            " are understood",
        ),
        (
            pd.DataFrame({"a": [1, "x"]}),
            "column 'a' holds mixed-integer values; numbers, texts, Booleans and dates"
            " are understood",
        ),
        (
            pd.DataFrame({"a": [b"x"]}),
            "column 'a' holds bytes values; numbers, texts, Booleans and dates are"
            " understood",
        ),
    ],
)
def test_an_unusable_table_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError) as caught:
        tidy(frame)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "target",
    [["no", "yes"], [0, 1], [0.0, 1.0], [True, False]],
)
def test_a_target_with_two_values_is_accepted(target: list[Any]) -> None:
    check_target(tidy(pd.DataFrame({"x": [1, 2], "y": target})), "y")


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            {"x": [1, 2], "z": ["a", "b"]},
            "target column 'y' is missing; the columns are 'x', 'z'",
        ),
        ({"y": ["a", "b"]}, "there is no column beside the target 'y'"),
        (
            {"x": [1, 2], "y": ["a", "a"]},
            "column 'y' has 1 value ('a'); a classification target needs at least 2 and"
            " at most 64",
        ),
        (
            {"x": range(2000), "y": range(2000)},
            "column 'y' has 2,000 values; a classification target needs at least 2 and"
            " at most 64",
        ),
        (
            {"x": [1, 2, 3], "y": ["a", None, "b"]},
            "target column 'y' has no value in 1 of 3 rows; a classifier learns from"
            " labelled rows only: leave the others out at the source, or say so in the"
            " YAML (source: {unlabelled: drop})",
        ),
    ],
)
def test_a_target_that_trains_no_classifier_is_refused(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        check_target(tidy(pd.DataFrame(columns)), "y")
    assert str(caught.value) == message


def test_rows_without_a_target_may_be_left_out_later_but_not_all() -> None:
    some = tidy(pd.DataFrame({"x": [1, 2, 3], "y": ["a", None, "b"]}))
    check_target(some, "y", unlabelled=True)
    none = tidy(pd.DataFrame({"x": [1, 2, 3], "y": [None] * 3}))
    with pytest.raises(DataError, match="no value in 3 of 3 rows"):
        check_target(none, "y", unlabelled=True)


@pytest.mark.parametrize("cells", [[None, None], [np.nan, np.nan], ["", None][1:] * 2])
def test_a_column_without_a_value_is_a_number_that_is_missing(cells: Any) -> None:
    table = tidy(pd.DataFrame({"a": [1, 2], "b": cells}))
    assert table["b"].dtype == "float64" and table["b"].isna().all()


@pytest.mark.parametrize("names", [["", "a"], [" ", "a"], ["", " ", "a"]])
def test_columns_without_a_name_are_left_out_and_counted(names: list[str]) -> None:
    table = tidy(pd.DataFrame([[7] * len(names)], columns=names))
    assert list(table.columns) == ["a"]
    assert table.attrs == {"nameless": len(names) - 1}


def edited(**columns: Any) -> pd.DataFrame:
    return tidy(pd.DataFrame({**TABLE, **columns}))


@pytest.mark.parametrize(
    "same",
    [
        edited(sex=pd.Categorical(["m", "f"], categories=["z", "m", "f"])),
        edited(sex=pd.array(["m", "f"], dtype="str")),
        tidy(pd.DataFrame(TABLE, index=[5, 9])),
        tidy(pd.DataFrame(TABLE)).assign(sex=pd.Categorical(["m", "f"], ["m", "f"])),
    ],
)
def test_equal_content_has_an_equal_hash(same: pd.DataFrame) -> None:
    assert content_hash(same) == content_hash(edited())


@pytest.mark.parametrize(
    "other",
    [
        edited(age=[31, 53]),
        edited(age=[31.0, 52.0]),
        edited(score=[0.5, 0.0]),
        edited(ok=[False, True]),
        edited(sex=["f", "m"]),
        edited(sex=["m", "F"]),
        edited(sex=["m", None]),
        edited(more=[1, 2]),
        edited().rename(columns={"age": "Age"}),
        edited()[["score", "age", "ok", "sex"]],
        edited().iloc[::-1],
        edited().iloc[:1],
    ],
)
def test_other_content_has_another_hash(other: pd.DataFrame) -> None:
    assert content_hash(other) != content_hash(edited())


def test_zero_has_one_hash_whatever_its_sign() -> None:
    assert content_hash(edited(score=[0.0, 1])) == content_hash(edited(score=[-0.0, 1]))


def test_texts_cannot_lend_each_other_letters() -> None:
    assert content_hash(edited(sex=["ab", "c"])) != content_hash(
        edited(sex=["a", "bc"])
    )


def test_the_hash_is_the_same_in_every_process() -> None:
    code = (
        "import numpy as np, pandas as pd;"
        "from ml_assets.ml.tables import content_hash, tidy;"
        "print(content_hash(tidy(pd.DataFrame({'a': [1.5, np.nan], 'b': ['y', 'x']}))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    here = content_hash(tidy(pd.DataFrame({"a": [1.5, np.nan], "b": ["y", "x"]})))
    assert run.stdout.strip() == here
    assert len(here) == 64


def test_three_classes_and_many_numbers_are_targets():
    check_target(tidy(pd.DataFrame({"x": [1, 2, 3], "y": ["a", "c", "b"]})), "y")
    numbers = tidy(pd.DataFrame({"x": range(200), "y": range(200)}))
    check_target(numbers, "y", kind="regression")
