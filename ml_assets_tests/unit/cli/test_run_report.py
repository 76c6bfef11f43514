"""What of the data was left out, or seems to be something else, is reported."""

from types import SimpleNamespace

import pytest

from ml_assets.cli.run_report import SUMMARIES

RAW = {
    "dagster/row_count": 4,
    "dagster/column_schema": SimpleNamespace(columns=[1, 2]),
    "source": {"type": "csv", "path": "x.csv"},
}


@pytest.mark.parametrize(
    "more, lines",
    [
        ({}, []),
        ({"columns_without_name": 0, "numbers_in_texts": "none"}, []),
        ({"columns_without_name": 1}, ["1 column(s) without a name left out"]),
        ({"numbers_in_texts": "a is text; b is text"}, ["a is text", "b is text"]),
    ],
)
def test_what_is_odd_about_a_table_is_reported(
    more: dict[str, object], lines: list[str]
) -> None:
    first = "4 rows of 2 columns from csv x.csv"
    assert SUMMARIES["raw"]({**RAW, **more}) == [first, *lines]


@pytest.mark.parametrize(
    "notes, lines", [("", []), ("- a left out\n- b lost", ["a left out", "b lost"])]
)
def test_what_features_left_out_is_reported(notes: str, lines: list[str]) -> None:
    found = {"dagster/row_count": 10, "held_out_rows": 2, "notes": notes}
    last = "8 rows to train with, 2 held out to test"
    assert SUMMARIES["features"](found) == [*lines, last]
