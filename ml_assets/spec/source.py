"""The source of a model's rows, as its YAML gives it."""

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from ml_assets.spec import user_code
from ml_assets.spec.base import BaseSpec, Fault, raise_faults
from ml_assets.spec.csv_format import CsvFormat

SourceType = Literal[
    "sklearn", "csv", "parquet", "http", "kaggle", "sql", "python", "synthetic"
]

# What each source type needs, and what else it takes.
SOURCE_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "sklearn": ({"dataset"}, set()),
    "csv": ({"path"}, {"read", "parallel"}),
    "parquet": ({"path"}, {"parallel"}),
    "http": ({"url"}, {"read", "timeout_seconds", "sha256"}),
    "kaggle": ({"dataset", "file"}, {"read", "timeout_seconds"}),
    "sql": ({"url", "query"}, set()),
    "python": ({"function"}, set()),
    "synthetic": (set(), {"rows", "seed", "drift"}),
}

# The pattern of a key's text, and the message where it does not match.
DATASETS = ("breast_cancer", "diabetes", "digits", "iris", "wine")
PATH = (r"\S", "must be a path, a pattern or an fsspec URL")
FORMS: dict[str, dict[str, tuple[str, str]]] = {
    "sklearn": {
        "dataset": (rf"^({'|'.join(DATASETS)})$", f"must be of {', '.join(DATASETS)}")
    },
    "csv": {"path": PATH},
    "parquet": {"path": PATH},
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
    """Add to the JSON schema, for ``dg check yaml``, what each source type takes."""
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


class SourceSpec(BaseSpec):
    """Where the rows of a model come from.

    ``${NAME}`` in ``path``, ``url`` and ``query`` is read from the environment when
    the data is read, so that no secret is in the YAML or in the UI.
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
    function: str | None = Field(
        None,
        description="python: import path of a function without arguments that returns"
        " a DataFrame",
    )
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
        raise_faults(self._ill_formed())
        return self

    def _ill_formed(self) -> Iterator[Fault]:
        if self.function is not None:
            for fault in user_code.function_faults(self.function):
                yield ("function",), fault
        for name, (pattern, message) in FORMS.get(self.type, {}).items():
            text = getattr(self, name)
            # The value of a variable of the environment is not known yet.
            if "${" not in text and not re.search(pattern, text):
                yield (name,), f"{message}, found '{text}'"
