"""Rows of every format become the same values; bad files are refused with the line."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.output import Failed
from ml_assets.cli.rows import chunks, detect, read
from ml_assets.ml.sources import read_source
from ml_assets.records.plan import Column
from ml_assets.spec.csv_format import CsvFormat
from ml_assets.spec.source import SourceSpec

COLUMNS = (
    Column(name="age", kind="number", nullable=True),
    Column(name="visits", kind="integer"),
    Column(name="member", kind="boolean"),
    Column(name="state", kind="string", categories=("NA", "CA")),
    Column(name="note", kind="string", nullable=True),
)


def rows_of(data: bytes, kind: str) -> list[dict[str, Any]]:
    return list(read(io.BytesIO(data), kind, COLUMNS))


@pytest.mark.parametrize(
    "column, cell, value",
    [
        ("age", "41", 41),
        ("age", " 41.5 ", 41.5),
        ("age", "", None),
        ("age", "?", None),
        ("age", "1_000", "1_000"),
        ("age", "inf", "inf"),
        ("age", "old", "old"),
        ("visits", "1e3", 1000.0),
        ("member", "True", True),
        ("member", "false", False),
        ("member", "perhaps", "perhaps"),
        ("state", "NA", "NA"),
        ("note", "NA", None),
        ("note", " text ", "text"),
        ("unknown", "", ""),
    ],
)
def test_a_csv_cell_is_read_as_its_column_says(
    column: str, cell: str, value: Any
) -> None:
    (row,) = rows_of(f'{column},other\n"{cell}",x\n'.encode(), "csv")
    assert row[column] == value
    assert type(row[column]) is type(value)


def test_a_csv_may_begin_with_a_byte_order_mark() -> None:
    assert rows_of(b"\xef\xbb\xbfage\n1\n", "csv") == [{"age": 1}]


@pytest.mark.parametrize(
    "text",
    [
        '[{"age": 1}, {"age": 2}]',
        '{"rows": [{"age": 1}, {"age": 2}]}',
        '{"columns": {"age": [1, 2]}}',
    ],
)
def test_json_may_be_an_array_or_a_request(text: str) -> None:
    assert rows_of(text.encode(), "json") == [{"age": 1}, {"age": 2}]


def test_one_json_object_is_one_row() -> None:
    assert rows_of(b'{"age": 1}', "json") == [{"age": 1}]


def test_json_lines_are_rows_and_blank_lines_are_not() -> None:
    assert rows_of(b'{"age": 1}\n\n{"age": 2}\n', "jsonl") == [{"age": 1}, {"age": 2}]


def test_parquet_rows_keep_their_types() -> None:
    import pandas as pd

    frame = pd.DataFrame({"age": [1.5, None], "note": ["a", "b"]})
    found = rows_of(frame.to_parquet(), "parquet")
    assert found == [{"age": 1.5, "note": "a"}, {"age": None, "note": "b"}]


def test_infinity_in_parquet_is_refused_by_column() -> None:
    import pandas as pd

    data = pd.DataFrame({"age": [1.0, math.inf]}).to_parquet()
    with pytest.raises(Failed, match="column age .* holds infinity"):
        rows_of(data, "parquet")


@pytest.mark.parametrize(
    "kind, data, message",
    [
        ("csv", b"age,age\n1,2\n", "names age twice"),
        ("csv", b"age,note\n1,a\n2\n", "line 3 of the CSV has 1 cells, expected 2"),
        ("csv", b"note\n\xff\n", "not UTF-8"),
        (
            "csv",
            b'note\n"' + b"x" * 200_000 + b'"\n',
            "line 2 of the CSV: field larger",
        ),
        ("json", b"[1, 2", "the JSON cannot be read"),
        ("json", b"[1, 2]", "holds no rows"),
        ("json", b'{"columns": {"a": [1], "b": []}}', "all of one length"),
        ("json", b'{"columns": 3}', "one array per column"),
        ("jsonl", b'{"age": 1}\n[2]\n', "line 2 is not a JSON object"),
        ("parquet", b"PAR1 and no more", "the Parquet file cannot be read"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(
    kind: str, data: bytes, message: str
) -> None:
    with pytest.raises(Failed, match=message):
        rows_of(data, kind)


@pytest.mark.parametrize(
    "name, data, kind",
    [
        ("rows.CSV", b"", "csv"),
        ("rows.ndjson", b"", "jsonl"),
        ("rows.parquet", b"", "parquet"),
        ("-", b"PAR1....", "parquet"),
        ("-", b"  [{}]", "json"),
        ("-", b'{"age": 1}\n{"age": 2}\n', "jsonl"),
        ("-", b'{"age": 1}', "jsonl"),
        ("-", b'{"rows": []}', "json"),
        ("-", b'{\n "rows": []}', "json"),
        ("-", b"age\n1\n", "csv"),
        ("rows.txt", b"", "csv"),
    ],
)
def test_the_format_is_recognised_by_name_then_by_content(
    name: str, data: bytes, kind: str
) -> None:
    assert detect(name, io.BufferedReader(io.BytesIO(data))) == kind


def test_a_csv_is_read_no_further_than_the_chunks_that_are_asked_for() -> None:
    class Endless(io.RawIOBase):
        lines = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:4] = b"age\n" if self.lines == 0 else b"100\n"
            self.lines += 1
            return 4

    endless = io.BufferedReader(Endless(), buffer_size=4)
    found = chunks(read(endless, "csv", COLUMNS), 3)
    assert next(found) == [{"age": 100}] * 3
    assert json.dumps(next(found)) == json.dumps([{"age": 100}] * 3)


LAYOUTS: dict[str, tuple[dict[str, Any], str]] = {
    "as usual": ({}, "age,state,zip\n41,CA,01234\n,NA,98765\n2.5,CA,00501\n"),
    "German": (
        {"separator": ";", "decimal": ",", "thousands": "."},
        "age;state;zip\n1.234,5;CA;01234\n;NY;98765\n2;CA;00501\n",
    ),
    "a comma file of a model of semicolons": (
        {"separator": ";", "decimal": ","},
        "age,state,zip\n1.5,CA,01234\n",
    ),
    "a report's head": (
        {"skip_rows": 2, "separator": "\t"},
        "Report, 2026\n\nage\tstate\tzip\n41\tCA\t01234\n",
    ),
    "no header": (
        {"header": False, "columns": ["age", "state", "zip"]},
        "41,CA,01234\n,NY,98765\n",
    ),
    "other names": ({"columns": ["age", "state", "zip"]}, "a,b,c\n41,CA,01234\n"),
    "other marks for missing": (
        {"missing": ["-9", "n/a"]},
        "age,state,zip\n-9,n/a,01234\n4,CA,n/a\n",
    ),
    "another encoding": (
        {"encoding": "utf-16"},
        "age,state,zip\n41,Zürich,01234\n",
    ),
    "blanks": ({}, "age,state,zip\n 41 , CA , 01234 \n"),
    "an index": ({}, ",age,state,zip\n0,41,CA,01234\n"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_csv_is_read_for_scoring_as_it_was_for_training(
    name: str, tmp_path: Path
) -> None:
    given, text = LAYOUTS[name]
    layout = CsvFormat(**given)
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding=layout.encoding)
    columns = (
        Column(name="age", kind="number", nullable=True),
        Column(name="state", kind="string", nullable=True),
        Column(name="zip", kind="string", nullable=True),
    )
    with path.open("rb") as stream:
        scored = list(read(stream, "csv", columns, layout))
    usual = layout.separator not in text and layout.header
    trained = read_source(
        SourceSpec(type="csv", path=str(path), read=None if usual else layout),
        tmp_path,
    )
    wanted = trained.astype(object).where(trained.notna(), None).to_dict("records")
    assert scored == wanted
