"""CSV files: Arrow's reader, with blanks, missing marks and faults handled exactly.

Where Arrow refuses a file, or should have, the line and the fault are found here.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Collection
from typing import IO, Any

import pandas as pd

from ml_assets.core.canonical import FALSE, TRUE
from ml_assets.ml.sources.csv_numbers import (
    as_numbers,
    has_codes,
    may_have_codes,
)
from ml_assets.ml.tables import SourceError
from ml_assets.spec.csv_format import CsvFormat

Opener = Callable[[], IO[bytes]]
"""Opens the bytes of a file, from the start, each time that it is called."""

# What a broken disk, connection or archive raises while it is read.
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_UTF8 = ("utf-8", "utf8", "utf-8-sig")


def read_csv(
    open_file: Opener,
    read: CsvFormat | None,
    name: str,
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """Read one CSV file.

    Parameters
    ----------
    open_file : callable
        Opens the file; called again to find the fault of a file that has one.
    read : CsvFormat, optional
        How the file is written; comma and header by default.
    name : str
        What errors call the file.
    texts : collection of str
        Columns whose cells are texts, whatever they look like.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        Texts as categories; not yet checked.

    Raises
    ------
    SourceError
        The file is empty, in another encoding, or has a row of another length.
    """
    layout = read or CsvFormat()
    try:
        with open_file() as stream:
            if not stream.read(1):
                raise SourceError(f"{name} is empty (0 bytes)")
        table = _read_tidily(open_file, layout, texts)
    except _DAMAGED as error:
        raise SourceError(
            f"{name} cannot be read to its end ({type(error).__name__})"
        ) from None
    except SourceError:
        raise
    except (ValueError, LookupError) as error:
        raise SourceError(f"{name}: {_diagnose(open_file, layout, error)}") from None
    if _ends_in_line_break(table) and (reason := _wrong_row(open_file, layout)):
        raise SourceError(f"{name}: {reason}")
    return _to_pandas(table, layout, name, texts)


def _read_tidily(open_file: Opener, layout: CsvFormat, texts: Collection[str]) -> Any:
    """An Arrow table of numbers, Booleans and texts; dates and codes stay texts."""
    import pyarrow as pa

    table = _read(open_file, layout, {})
    names, kinds = table.column_names, table.schema.types
    numbers: set[str] = set()
    with open_file() as stream:
        if may_have_codes(stream, layout):
            numbers = {name for name, kind in zip(names, kinds) if _is_number(kind)}
    as_text = {
        name: pa.dictionary(pa.int32(), pa.string())
        for name, kind in zip(names, kinds)
        if pa.types.is_temporal(kind) or name in numbers or name.strip() in texts
    }
    if as_text:
        again = _read(open_file, layout, as_text)
        for position, name in enumerate(names):
            column = again.column(position)
            # Read as numbers the first time, and with right where none is a code.
            is_text = name not in numbers or name.strip() in texts
            if name in as_text and (is_text or _holds_codes(column)):
                table = table.set_column(position, name, column)
    if _has_bytes(table):
        raise ValueError("bytes that are no text")
    return table


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _holds_codes(column: Any) -> bool:
    return any(has_codes(chunk.dictionary) for chunk in column.chunks)


def _read(open_file: Opener, layout: CsvFormat, types: dict[str, Any]) -> Any:
    from pyarrow import csv as arrow_csv

    named_here = bool(layout.columns)
    with open_file() as stream:
        return arrow_csv.read_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                encoding="utf8" if _is_utf8(layout) else layout.encoding,
                column_names=layout.columns or None,
                autogenerate_column_names=not layout.header and not named_here,
                skip_rows=layout.skip_rows + int(layout.header and named_here),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.separator,
                newlines_in_values=True,
                invalid_row_handler=_skip_blank,
            ),
            convert_options=arrow_csv.ConvertOptions(
                decimal_point=layout.decimal,
                null_values=_with_blanks(layout),
                strings_can_be_null=True,
                true_values=[*TRUE],
                false_values=[*FALSE],
                auto_dict_encode=True,
                auto_dict_max_cardinality=2**31 - 1,
                column_types=types,
            ),
        )


def _skip_blank(row: Any) -> str:
    return "error" if row.text.strip() else "skip"


def _with_blanks(layout: CsvFormat) -> list[str]:
    # Arrow trims numbers but not missing marks. Those with one blank are common
    # enough to be given to it; `_stripped` deals with any number of blanks.
    if not layout.strip:
        return layout.missing
    return [form for mark in layout.missing for form in (mark, f" {mark}", f"{mark} ")]


def _to_pandas(
    table: Any, layout: CsvFormat, name: str, texts: Collection[str]
) -> pd.DataFrame:
    import pyarrow as pa

    names = [str(column).strip() for column in table.column_names]
    if len(names) == 1 and (found := _other_separator(names[0], layout)):
        raise SourceError(
            f"{name}: one column '{names[0]}' was read;"
            f" is the separator {found!r} rather than {layout.separator!r}?"
        )
    columns = [column.combine_chunks() for column in table.columns]
    if layout.strip:
        columns = [
            (
                _stripped(column, layout, header in texts)
                if pa.types.is_dictionary(column.type)
                else column
            )
            for header, column in zip(names, columns, strict=True)
        ]
    frame = pa.table(columns, names=[str(i) for i in range(len(names))]).to_pandas()
    return pd.DataFrame(frame.set_axis(names, axis="columns"))


def _stripped(column: Any, layout: CsvFormat, is_text: bool) -> Any:
    """A text column with its cells trimmed, and as numbers where they then are."""
    import pyarrow as pa
    from pyarrow import compute

    texts = column.dictionary
    # A quote after a blank is none to Arrow.
    bare = compute.replace_substring_regex(texts, r'(?s)^\s+"(.*)"\s*$', r"\1")
    trimmed = compute.utf8_trim_whitespace(bare)
    is_usual = layout.decimal == "." and not layout.thousands
    if trimmed.equals(texts) and is_usual:
        return column
    marks = pa.array(layout.missing, pa.string())
    kept = compute.if_else(compute.is_in(trimmed, marks), None, trimmed)
    typed = None if is_text else _typed(kept, layout)
    if typed is not None:
        return typed.take(column.indices)
    # Trimming can make two texts equal, so they are encoded anew.
    encoded = kept.dictionary_encode()
    codes = encoded.indices.take(column.indices)
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary)


def _typed(texts: Any, layout: CsvFormat) -> Any:
    """Texts as truth values or numbers; None where one of them is neither."""
    import pyarrow as pa
    from pyarrow import compute

    if compute.all(compute.is_in(texts.drop_null(), pa.array(TRUE + FALSE))).as_py():
        return texts.cast(pa.bool_())
    return as_numbers(texts, layout)


def _has_bytes(table: Any) -> bool:
    import pyarrow as pa

    return any(
        pa.types.is_dictionary(kind) and pa.types.is_binary(kind.value_type)
        for kind in table.schema.types
    )


def _is_utf8(layout: CsvFormat) -> bool:
    return layout.encoding.lower() in _UTF8


def _other_separator(header: str, layout: CsvFormat) -> str | None:
    others = (mark for mark in ",;\t|" if mark != layout.separator)
    return next((mark for mark in others if mark in header), None)


def _ends_in_line_break(table: Any) -> bool:
    """Whether the last cell holds line breaks: a quote that is never closed takes all
    that follows into it, and Arrow raises nothing."""
    import pyarrow as pa

    if not (table.num_rows and pa.types.is_dictionary(table.schema.types[-1])):
        return False
    return "\n" in (table.column(table.num_columns - 1)[-1].as_py() or "")


def _diagnose(open_file: Opener, layout: CsvFormat, fault: Exception) -> str:
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
    return _wrong_row(open_file, layout) or str(fault).splitlines()[0]


def _wrong_row(open_file: Opener, layout: CsvFormat) -> str | None:
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
