"""CSV files: Arrow's reader, with blanks, missing marks and faults handled exactly."""

from collections.abc import Callable
from typing import IO, Any

import pandas as pd

from ml_assets.ml.sources.errors import SourceError
from ml_assets.model import CsvFormat

Opener = Callable[[], IO[bytes]]
"""Opens the bytes of a file, from the start, each time that it is called."""

_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
_UTF8 = ("utf-8", "utf8", "utf-8-sig")


def read_csv(open_file: Opener, read: CsvFormat | None, name: str) -> pd.DataFrame:
    """Read one CSV file.

    Parameters
    ----------
    open_file : callable
        Opens the file; called again to look closer where the file is faulty.
    read : CsvFormat, optional
        How the file is written; comma and header by default.
    name : str
        What errors call the file.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        Texts as categories; not yet checked.

    Raises
    ------
    SourceError
        The file is empty, in another encoding, or has a row of another length.
    """
    import pyarrow as pa

    layout = read or CsvFormat()
    with open_file() as stream:
        if not stream.read(1):
            raise SourceError(f"{name} is empty (0 bytes)")
    fault: Exception
    try:
        table = _read(open_file, layout, {}, parallel=True)
        dates = {
            column.name: pa.dictionary(pa.int32(), pa.string())
            for column in table.schema
            if pa.types.is_temporal(column.type)
        }
        if dates:
            table = _read(open_file, layout, dates, parallel=True)
        if not _has_bytes(table):
            return _to_pandas(table, layout, name)
        fault = ValueError("bytes that are no text")
    except (ValueError, LookupError) as error:
        fault = error
    raise SourceError(f"{name}: {_diagnose(open_file, layout, fault)}")


def _read(
    open_file: Opener, layout: CsvFormat, types: dict[str, Any], parallel: bool
) -> Any:
    from pyarrow import csv

    named_here = bool(layout.columns)
    with open_file() as stream:
        return csv.read_csv(
            stream,
            read_options=csv.ReadOptions(
                use_threads=parallel,
                encoding="utf8" if _is_utf8(layout) else layout.encoding,
                column_names=layout.columns or None,
                autogenerate_column_names=not layout.header and not named_here,
                skip_rows=int(layout.header and named_here),
            ),
            parse_options=csv.ParseOptions(
                delimiter=layout.separator,
                newlines_in_values=True,
                invalid_row_handler=_skip_blank,
            ),
            convert_options=csv.ConvertOptions(
                null_values=_with_blanks(layout),
                strings_can_be_null=True,
                true_values=_TRUE,
                false_values=_FALSE,
                auto_dict_encode=True,
                auto_dict_max_cardinality=2**31 - 1,
                column_types=types,
            ),
        )


def _skip_blank(row: Any) -> str:
    return "error" if row.text.strip() else "skip"


def _with_blanks(layout: CsvFormat) -> list[str]:
    # Arrow trims numbers but not missing marks. Those with one blank are common
    # enough to be told here; `_stripped` deals with any number of blanks.
    if not layout.strip:
        return layout.missing
    return [form for mark in layout.missing for form in (mark, f" {mark}", f"{mark} ")]


def _to_pandas(table: Any, layout: CsvFormat, name: str) -> pd.DataFrame:
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
            _stripped(column, layout) if pa.types.is_dictionary(column.type) else column
            for column in columns
        ]
    frame = pa.table(columns, names=[str(i) for i in range(len(names))]).to_pandas()
    return pd.DataFrame(frame.set_axis(names, axis="columns"))


def _stripped(column: Any, layout: CsvFormat) -> Any:
    """A text column with its cells trimmed, and a number column if it then is one."""
    import pyarrow as pa
    from pyarrow import compute

    column = column.unify_dictionaries() if hasattr(column, "num_chunks") else column
    texts = column.dictionary
    trimmed = compute.utf8_trim_whitespace(texts)
    if trimmed.equals(texts):
        return column
    marks = pa.array(layout.missing, pa.string())
    kept = compute.if_else(compute.is_in(trimmed, marks), None, trimmed)
    for number in (pa.int64(), pa.float64()):
        try:
            return kept.cast(number).take(column.indices)
        except pa.ArrowInvalid:
            continue
    # Trimming can make two texts equal, so they are encoded anew.
    encoded = kept.dictionary_encode()
    codes = encoded.indices.take(column.indices)
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary)


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


def _diagnose(open_file: Opener, layout: CsvFormat, fault: Exception) -> str:
    """Why Arrow refused the file, with the line where that can be found."""
    with open_file() as stream:
        data = stream.read()
    if not data.strip():
        return "there is nothing but blank lines"
    try:
        data.decode(layout.encoding)
    except LookupError:
        return f"the encoding '{layout.encoding}' is unknown"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (
            f"line {line} is not {layout.encoding} (byte 0x{data[error.start]:02x});"
            " set read.encoding, for example to latin-1 or utf-16"
        )
    except UnicodeError as error:
        return f"the file is not {layout.encoding} ({error})"
    return _wrong_row(data, layout) or str(fault).splitlines()[0]


def _wrong_row(data: bytes, layout: CsvFormat) -> str | None:
    import csv
    import io

    lines = io.StringIO(data.decode(layout.encoding), newline="")
    rows = csv.reader(lines, delimiter=layout.separator)
    width = len(layout.columns)
    for row in rows:
        if not "".join(row).strip():
            continue
        width = width or len(row)
        if len(row) != width:
            return (
                f"line {rows.line_num} has {len(row):,} cells where"
                f" {width:,} were expected"
            )
    return None
