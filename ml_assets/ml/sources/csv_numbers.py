"""Which cells of a CSV file are numbers; codes with a leading zero are none."""

import re
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.spec.csv_format import CsvFormat, number_of

# A zero in front makes a code of it: 01234 is another than 1234.
CODE = r"^\s*[+-]?0\d"
_BLOCK = 1 << 20
# What people write around a number.
_FORMATTED = re.compile(r"[+-]?\s*[$€£¥]?\s*[+-]?\d[\d.,' ]*\s*[%$€£¥]?")


def has_codes(texts: Any) -> bool:
    """Whether one of the texts of an Arrow array begins with a zero and a digit."""
    from pyarrow import compute

    return bool(compute.any(compute.match_substring_regex(texts, CODE)).as_py())


def may_have_codes(stream: Any, layout: CsvFormat) -> bool:
    """Whether a cell of a file may be a code; read in blocks, and never as a whole.

    Dates and times match as well: it may be that none is a code.
    """
    if "0".encode(layout.encoding) != b"0":
        return True
    before = np.zeros(256, bool)
    before[[*b'\r\n" \t+-', *layout.separator.encode(layout.encoding)]] = True
    tail = b"\n"
    while block := stream.read(_BLOCK):
        data = np.frombuffer(tail + block, np.uint8)
        zeros = np.flatnonzero(data[1:-1] == ord("0"))
        after = data[zeros + 2] - ord("0")
        if (before[data[zeros]] & (after <= 9)).any():
            return True
        tail = block[-2:]
    return False


def as_numbers(texts: Any, layout: CsvFormat) -> Any:
    """The texts of an Arrow array as numbers; None where one of them is none."""
    import pyarrow as pa

    if has_codes(texts):
        return None
    plain = _plain(texts, layout)
    for number in (pa.int64(), pa.float64()) if plain is not None else ():
        try:
            return plain.cast(number)
        except pa.ArrowInvalid:
            continue
    return None


def formatted_numbers(column: "pd.Series[Any]") -> int:
    """How many cells of a text column are numbers as people write them; codes are none.

    Examples
    --------
    >>> formatted_numbers(pd.Series(["1,5", "12%", "$3.00", "01234", "none", None]))
    3
    """
    counts = column.value_counts().items()
    return int(sum(n for text, n in counts if n and _is_formatted(str(text))))


def _is_formatted(text: str) -> bool:
    return not re.match(CODE, text) and _FORMATTED.fullmatch(text) is not None


def _plain(texts: Any, layout: CsvFormat) -> Any:
    if layout.decimal == "." and not layout.thousands:
        return texts
    import pyarrow as pa

    given = texts.to_pylist()
    found = [None if text is None else number_of(text, layout) for text in given]
    if found.count(None) > given.count(None):
        return None
    return pa.array(found, pa.string())
