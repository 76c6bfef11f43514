"""How the cells of a file write numbers, wherever the file is read."""

import re
from functools import lru_cache

from ml_assets.spec.source import CsvFormat


def number_of(text: str, layout: CsvFormat) -> str | None:
    """A number with a point, without marks between thousands; None where it is none.

    Examples
    --------
    >>> layout = CsvFormat(decimal=",", thousands=".", separator=";")
    >>> number_of("1.234,5", layout), number_of("1.5", layout)
    ('1234.5', None)
    """
    if not _written(layout.decimal, layout.thousands or "").fullmatch(text):
        return None
    if layout.thousands:
        text = text.replace(layout.thousands, "")
    return text.replace(layout.decimal, ".")


@lru_cache
def _written(decimal: str, thousands: str) -> re.Pattern[str]:
    point, between = re.escape(decimal), re.escape(thousands)
    grouped = rf"|\d{{1,3}}({between}\d{{3}})+" if between else ""
    return re.compile(rf"[+-]?(\d+{grouped})?({point}\d*)?([eE][+-]?\d+)?", re.ASCII)
