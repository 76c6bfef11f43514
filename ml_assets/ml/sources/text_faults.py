"""What is wrong with a CSV file that Arrow refused, or should have."""

import csv
import io
from collections.abc import Callable
from typing import IO, Any

from ml_assets.spec.source import CsvFormat

Opener = Callable[[], IO[bytes]]
"""Opens the bytes of a file, from the start, each time that it is called."""


def ends_in_line_break(table: Any) -> bool:
    """Whether the last cell holds line breaks: a quote that is never closed takes all
    that follows into it, and Arrow says nothing."""
    import pyarrow as pa

    if not (table.num_rows and pa.types.is_dictionary(table.schema.types[-1])):
        return False
    return "\n" in (table.column(table.num_columns - 1)[-1].as_py() or "")


def diagnose(open_file: Opener, layout: CsvFormat, fault: Exception) -> str:
    """Why Arrow refused the file, with the line where that can be found."""
    with open_file() as stream:
        data = stream.read()
    if not data.strip():
        return "there is nothing but blank lines"
    try:
        data.decode(layout.encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (
            f"line {line} is not {layout.encoding} (byte 0x{data[error.start]:02x});"
            " set read.encoding, for example to latin-1 or utf-16"
        )
    except UnicodeError as error:
        return f"the file is not {layout.encoding} ({error})"
    return wrong_row(open_file, layout) or str(fault).splitlines()[0]


def wrong_row(open_file: Opener, layout: CsvFormat) -> str | None:
    """Which row has another length or quotes that do not pair; None where none has."""
    with open_file() as stream:
        lines = io.StringIO(stream.read().decode(layout.encoding), newline="")
    for _ in range(layout.skip_rows):
        lines.readline()
    rows = csv.reader(lines, delimiter=layout.separator, strict=True)
    width = len(layout.columns)
    begin = layout.skip_rows + 1
    try:
        for row in rows:
            if "".join(row).strip():
                width = width or len(row)
                if len(row) != width:
                    cells = f"{len(row):,} cell{'s' * (len(row) != 1)}"
                    return f"line {begin} has {cells} where {width:,} were expected"
            begin = layout.skip_rows + rows.line_num + 1
    except csv.Error as error:
        return f"the quotes that open in line {begin} are not closed ({error})"
    return None
