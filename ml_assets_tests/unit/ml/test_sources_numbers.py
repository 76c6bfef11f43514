"""What a CSV holds as numbers, as codes, and as texts that look like numbers."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from ml_assets.ml.sources import SourceError, read_source
from ml_assets.ml.sources.csv_numbers import formatted_numbers
from ml_assets.spec.csv_format import CsvFormat
from ml_assets.spec.source import SourceSpec


def read(tmp_path: Path, content: str, **layout: Any) -> pd.DataFrame:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding=layout.get("encoding", "utf-8"))
    spec = SourceSpec(type="csv", path=str(path), read=CsvFormat(**layout))
    return read_source(spec, tmp_path / "cache")


@pytest.mark.parametrize(
    "cells",
    [
        ["01234", "98765"],
        ["98765", "01234"],
        ["00", "01"],
        ["-01", "2"],
        [" 01234", "98765"],
        ['"007"', '"123"'],
        ["00.5", "1.5"],
        ["01234", ""],
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_code_with_a_zero_in_front_stays_text(
    tmp_path: Path, cells: list[str], encoding: str
) -> None:
    content = "n,code,x\n" + "".join(f"7,{cell},1.5\n" for cell in cells)
    table = read(tmp_path, content, encoding=encoding)
    texts = [cell.strip().strip('"') or None for cell in cells]
    assert [None if pd.isna(v) else v for v in table["code"]] == texts
    # What is a number beside it stays one.
    assert table["n"].tolist() == [7, 7] and table["x"].tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    "cells, wanted",
    [
        (["0", "10"], [0, 10]),
        (["0.5", "-0.25"], [0.5, -0.25]),
        (["0", ""], [0.0, None]),
        (["1e05", "2e-01"], [1e5, 0.2]),
        (["100", "2007"], [100, 2007]),
    ],
)
def test_a_zero_that_is_a_number_makes_no_code(
    tmp_path: Path, cells: list[str], wanted: list[Any]
) -> None:
    table = read(tmp_path, "zip,n\n" + "".join(f"01,{cell}\n" for cell in cells))
    assert [None if pd.isna(v) else v for v in table["n"]] == wanted


def test_a_code_at_any_place_of_a_long_file_is_found(tmp_path: Path) -> None:
    for at in (0, 104_857, 199_999):
        rows = ["12345"] * 200_000
        rows[at] = "01234"
        table = read(tmp_path, "n,zip\n" + "".join(f"1,{row}\n" for row in rows))
        assert table["zip"][at] == "01234"


GERMAN = {"separator": ";", "decimal": ",", "thousands": "."}


@pytest.mark.parametrize(
    "cells, layout, wanted",
    [
        (["1,5", "2"], {"separator": ";", "decimal": ","}, [1.5, 2.0]),
        ([" 1,5 ", "2 "], {"separator": ";", "decimal": ","}, [1.5, 2.0]),
        (["1.234,5", "2"], GERMAN, [1234.5, 2.0]),
        (["1.234.567", "-2.000"], GERMAN, [1234567, -2000]),
        (["1.234,5", ""], GERMAN, [1234.5, None]),
        (['"1,234"', "5"], {"thousands": ","}, [1234, 5]),
        (['"1,234.50"', "?"], {"thousands": ","}, [1234.5, None]),
        (["1'234", "5"], {"thousands": "'"}, [1234, 5]),
        (["1 234", "5"], {"thousands": " "}, [1234, 5]),
        (['"12,34"', "5"], {"thousands": ","}, ["12,34", "5"]),
        (['"01,234"', "5"], {"thousands": ","}, ["01,234", "5"]),
        (["1.5", "x"], {"separator": ";", "decimal": ","}, ["1.5", "x"]),
    ],
)
def test_numbers_are_read_as_the_file_writes_them(
    tmp_path: Path, cells: list[str], layout: dict[str, Any], wanted: list[Any]
) -> None:
    mark = layout.get("separator", ",")
    content = f"a{mark}b\n" + "".join(f"x{mark}{cell}\n" for cell in cells)
    found = read(tmp_path, content, **layout)["b"]
    assert [None if pd.isna(v) else v for v in found] == wanted


@pytest.mark.parametrize("more", [{}, {"columns": ["a", "b"]}])
def test_lines_before_the_header_are_skipped(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    head = "Report of 27 November\n\na,b\n"
    assert read(tmp_path, f"{head}1,2\n", skip_rows=2, **more).to_dict("list") == {
        "a": [1],
        "b": [2],
    }
    with pytest.raises(SourceError, match="line 5 has 1 cell where 2 were expected"):
        read(tmp_path, f"{head}1,2\n3\n", skip_rows=2, **more)


@pytest.mark.parametrize(
    "layout, message",
    [
        ({"decimal": ","}, "decimal and separator are both ','"),
        ({"thousands": "."}, "decimal and thousands are both '.'"),
        ({"decimal": ";"}, "Input should be"),
        ({"skip_rows": -1}, "greater than or equal to 0"),
    ],
)
def test_marks_that_mean_two_things_are_refused(
    layout: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        CsvFormat(**layout)


@pytest.mark.parametrize(
    "text, is_one",
    [
        ("1,5", True), ("1,234", True), ("12%", True), ("$3.00", True),
        ("-€ 5", True), ("1 234,50 €", True), ("01234", False), ("12", True),
        ("none", False), ("3 rooms", False), ("A12", False), ("%", False),
        ("2026-11-27", False),
    ],
)  # fmt: skip
def test_texts_that_are_numbers_as_people_write_them_are_known(
    text: str, is_one: bool
) -> None:
    assert formatted_numbers(pd.Series([text])) == is_one
