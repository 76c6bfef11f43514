"""How a CSV file is written, and how its cells write numbers."""

import codecs
import re
from functools import lru_cache
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base import BaseSpec, raise_faults, repeated_names


class CsvFormat(BaseSpec):
    """How a CSV file is written, where it is not the usual comma and header."""

    separator: str = Field(",", min_length=1, max_length=1)
    header: bool = True
    columns: list[str] = Field(
        default_factory=list, description="names for a file without a header"
    )
    missing: list[str] = Field(
        default_factory=lambda: ["", "?", "NA", "NaN", "nan", "null", "NULL"],
        description="cell texts that mean a missing value",
    )
    encoding: str = "utf-8"
    strip: bool = Field(True, description="trim blanks around cells")
    decimal: Literal[".", ","] = Field(".", description="mark before a fraction")
    thousands: Literal[",", ".", "'", " "] | None = Field(
        None, description="mark between thousands"
    )
    skip_rows: int = Field(0, ge=0, description="lines before the header")

    @field_validator("separator")
    @classmethod
    def _separates(cls, value: str) -> str:
        if value in '\r\n"':
            raise ValueError(f"must be a character between cells, found {value!r}")
        return value

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError(f"'{value}' is no encoding such as utf-8") from error
        return value

    @model_validator(mode="after")
    def _marks_differ(self) -> "CsvFormat":
        raise_faults(
            (("columns", *at), message) for at, message in repeated_names(self.columns)
        )
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if self.decimal == self.separator:
            raise ValueError(f"decimal and separator are both {self.decimal!r}")
        return self


def number_of(text: str, layout: CsvFormat) -> str | None:
    """A number with a point, without marks between thousands; None where it is none.

    Examples
    --------
    >>> layout = CsvFormat(decimal=",", thousands=".", separator=";")
    >>> number_of("1.234,5", layout), number_of("1.5", layout)
    ('1234.5', None)
    """
    if not _number_pattern(layout.decimal, layout.thousands or "").fullmatch(text):
        return None
    if layout.thousands:
        text = text.replace(layout.thousands, "")
    return text.replace(layout.decimal, ".")


@lru_cache
def _number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    point, between = re.escape(decimal), re.escape(thousands)
    grouped = rf"|\d{{1,3}}({between}\d{{3}})+" if between else ""
    return re.compile(rf"[+-]?(\d+{grouped})?({point}\d*)?([eE][+-]?\d+)?", re.ASCII)
