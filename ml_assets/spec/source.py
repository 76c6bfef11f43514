"""What a model's YAML says of where its rows come from."""

import codecs
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ml_assets.spec.meaning import Fault, refuse, twice
from ml_assets.spec.part import Part

SourceType = Literal["sklearn", "csv", "parquet", "http", "kaggle", "sql", "synthetic"]

# What each source type needs, and what else it takes.
SOURCE_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "sklearn": ({"dataset"}, set()),
    "csv": ({"path"}, {"read", "parallel"}),
    "parquet": ({"path"}, {"parallel"}),
    "http": ({"url"}, {"read", "timeout_seconds", "sha256"}),
    "kaggle": ({"dataset", "file"}, {"read", "timeout_seconds"}),
    "sql": ({"url", "query"}, set()),
    "synthetic": (set(), {"rows", "seed", "drift"}),
}


# What the text of a key must look like, and how that is said.
DATASETS = ("breast_cancer", "iris", "wine")
PLACE = (r"\S", "must be a path, a pattern or an fsspec URL")
FORMS: dict[str, dict[str, tuple[str, str]]] = {
    "sklearn": {
        "dataset": (rf"^({'|'.join(DATASETS)})$", f"must be of {', '.join(DATASETS)}")
    },
    "csv": {"path": PLACE},
    "parquet": {"path": PLACE},
    "http": {"url": (r"(?i)^https?://[^/\s]", "must begin with http:// or https://")},
    "kaggle": {
        "dataset": (r"^[\w.-]+/[\w.-]+$", "must be owner/name"),
        "file": (r"\S", "must be the name of a file"),
    },
    "sql": {
        "url": (
            r"^\w+(\+\w+)?:",
            "must be a SQLAlchemy URL such as postgresql://host/db",
        ),
        "query": (r"(?i)\b(select|with|from|values|table)\b", "must be a SELECT"),
    },
}


def _require_by_type(schema: dict[str, Any]) -> None:
    """Tell ``dg check yaml``, through the JSON schema, what each source type takes."""
    every = {
        name for fields in SOURCE_FIELDS.values() for part in fields for name in part
    }
    schema["allOf"] = [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {
                "required": sorted(needed),
                "properties": {name: False for name in sorted(every - needed - other)},
            },
        }
        for kind, (needed, other) in SOURCE_FIELDS.items()
    ]


class CsvFormat(Part):
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
        refuse((("columns", *at), told) for at, told in twice(self.columns))
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if self.decimal == self.separator:
            raise ValueError(f"decimal and separator are both {self.decimal!r}")
        return self


class SourceSpec(Part):
    """Where the rows of a model come from.

    ``${NAME}`` in ``path``, ``url`` and ``query`` is read from the environment when
    the data is read, so that no secret stands in the YAML or in the UI.
    """

    model_config = ConfigDict(json_schema_extra=_require_by_type)

    type: SourceType
    path: str | None = Field(
        None, description="csv, parquet: a path, glob or fsspec URL"
    )
    parallel: bool = Field(
        False, description="csv, parquet: each file is read by a step of its own"
    )
    url: str | None = Field(None, description="http: address; sql: SQLAlchemy URL")
    dataset: str | None = Field(
        None, description="sklearn: breast_cancer, ...; kaggle: owner/name"
    )
    file: str | None = Field(None, description="kaggle: file inside the dataset")
    query: str | None = Field(None, description="sql: a SELECT with an ORDER BY")
    read: CsvFormat | None = None
    unlabelled: Literal["refuse", "drop"] = Field(
        "refuse", description="rows without a target: drop leaves them out"
    )
    timeout_seconds: float = Field(60.0, gt=0)
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="http: expected digest of the file"
    )
    rows: int = Field(10_000, ge=10, description="synthetic: number of rows")
    seed: int = Field(0, description="synthetic: seed")
    drift: float = Field(
        0.0, ge=0, description="synthetic: shift of the inputs, in standard deviations"
    )

    @model_validator(mode="after")
    def _fields_match_type(self) -> "SourceSpec":
        needed, optional = SOURCE_FIELDS[self.type]
        given = self.model_fields_set - {"type"}
        missing = sorted(name for name in needed if getattr(self, name) is None)
        if missing:
            raise ValueError(f"source type '{self.type}' needs {', '.join(missing)}")
        surplus = sorted(given - needed - optional - {"unlabelled"})
        if surplus:
            takes = ", ".join(sorted(needed | optional)) or "no other key"
            raise ValueError(
                f"source type '{self.type}' does not take {', '.join(surplus)};"
                f" it takes {takes}"
            )
        refuse(self._ill_formed())
        return self

    def _ill_formed(self) -> Iterator[Fault]:
        for name, (pattern, told) in FORMS.get(self.type, {}).items():
            text = getattr(self, name)
            # What a variable of the environment will hold is open.
            if "${" not in text and not re.search(pattern, text):
                yield (name,), f"{told}, found '{text}'"
