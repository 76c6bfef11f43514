<<<<<<< HEAD
"""What of the data was left out, or looks like something else, is shown in a run."""
=======
"""What of the data was left out, or seems to be something else, is reported."""
>>>>>>> h-cli

from types import SimpleNamespace

import pytest

from ml_assets.cli.run_report import SUMMARIES

RAW = {
    "dagster/row_count": 4,
    "dagster/column_schema": SimpleNamespace(columns=[1, 2]),
    "source": {"type": "csv", "path": "x.csv"},
}


@pytest.mark.parametrize(
<<<<<<< HEAD
    "more, output",
=======
    "more, lines",
>>>>>>> h-cli
    [
        ({}, []),
        ({"columns_without_name": 0, "numbers_in_texts": "none"}, []),
        ({"columns_without_name": 1}, ["1 column(s) without a name left out"]),
        ({"numbers_in_texts": "a is text; b is text"}, ["a is text", "b is text"]),
    ],
)
def test_what_is_odd_about_a_table_is_reported(
<<<<<<< HEAD
    more: dict[str, object], output: list[str]
) -> None:
    first = "4 rows of 2 columns from csv x.csv"
    assert SUMMARIES["raw"]({**RAW, **more}) == [first, *output]


@pytest.mark.parametrize(
    "notes, output", [("", []), ("- a left out\n- b lost", ["a left out", "b lost"])]
)
def test_what_features_left_out_is_reported(notes: str, output: list[str]) -> None:
    found = {"dagster/row_count": 10, "held_out_rows": 2, "notes": notes}
    last = "8 rows to train with, 2 held out to test"
    assert SUMMARIES["features"](found) == [*output, last]
=======
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
>>>>>>> h-cli
