"""How raw columns become the inputs of the estimator, as a YAML gives it."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from ml_assets.spec import user_code, validators
from ml_assets.spec.base import (
    BaseSpec,
    Fault,
    Location,
    raise_faults,
    repeated_names,
)
from ml_assets.spec.columns import KINDS, ColumnKind, inputs_of_kind


class FeaturesSpec(BaseSpec):
    """How raw columns become the inputs of the estimator."""

    drop: list[str] = Field(default_factory=list)
    derive: dict[str, str] = Field(
        default_factory=dict, description="new column: expression over raw columns"
    )
    numeric: list[str] = Field(
        default_factory=list, description="treat as numbers whatever was read"
    )
    categorical: list[str] = Field(
        default_factory=list, description="treat as categories whatever was read"
    )
    dates: list[str] = Field(
        default_factory=list,
        description="ISO dates that become their age and parts of the calendar",
    )
    text: dict[str, Literal["tfidf", "hashing"]] = Field(
        default_factory=dict,
        description="column of free text: how its words become numbers",
    )
    text_features: int = Field(
        256, ge=1, le=20_000, description="how many numbers each text becomes, at most"
    )
    transform: str | None = Field(
        None,
        description="import path of a transformer of a trusted package: inputs and"
        " derived columns in, the columns that are encoded out",
    )
    encoding: Literal["auto", "ordinal", "onehot", "target"] = Field(
        "auto",
        description="auto: ordinal for trees, one-hot and scaling otherwise; target:"
        " so, too, but the mean of the target for each of many values",
    )

    @model_validator(mode="after")
    def _names_are_clear(self) -> "FeaturesSpec":
        raise_faults(self._unclear())
        return self

    def with_kinds(self, columns: Mapping[str, ColumnKind]) -> "FeaturesSpec":
        """The same with the numbers and categories that `columns` name."""
        update = {}
        for key in KINDS:
            named = getattr(self, key)
            more = [n for n in inputs_of_kind(columns, key) if n not in named]
            update[key] = [*named, *more]
        return self.model_copy(update=update) if columns else self

    def _unclear(self) -> Iterator[Fault]:
        for key in ("drop", *KINDS):
            for at, message in repeated_names(getattr(self, key)):
                yield (key, *at), message
        for position, name in enumerate(self.categorical):
            if name in self.numeric:
                yield (
                    ("categorical", position),
                    f"'{name}' stands under numeric, too; it can be one only",
                )
        for position, name in enumerate(self.dates):
            yield from self._twice(("dates", position), name, "numeric", "categorical")
        for name in self.text:
            yield from self._twice(("text", name), name, *KINDS)
            if name in self.drop:
                yield ("text", name), f"'{name}' is dropped, so it is no text to read"
        for key in KINDS:
            for position, name in enumerate(getattr(self, key)):
                if name in self.drop:
                    yield (key, position), f"'{name}' is dropped, so it has no kind"
        for at, message in validators.derive_faults(self.derive):
            yield ("derive", *at), message
        if self.transform is not None:
            for _, message in user_code.class_faults(self.transform):
                yield ("transform",), message

    def _twice(self, at: Location, name: str, *keys: str) -> Iterator[Fault]:
        for key in keys:
            if name in getattr(self, key):
                yield at, f"'{name}' stands under {key}, too; it can be one only"
