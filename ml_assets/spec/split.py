"""Which rows of a model are held out to test, as its YAML gives it."""

from typing import Literal

from pydantic import Field, model_validator

from ml_assets.spec.base import BaseSpec, raise_faults, repeated_names
from ml_assets.spec.source import SourceSpec

BY_ROWS = "stratified"
BY_TIME = ("time", "order")


class MinimumSpec(BaseSpec):
    """How many test rows there must be; with fewer, no version is trained."""

    rows: int = Field(10, ge=1, description="least number of test rows")
    of_class: int = Field(1, ge=1, description="least number of test rows of a class")


class SplitSpec(BaseSpec):
    """Which rows are held out to test."""

    type: Literal["stratified", "time", "order", "file"] = "stratified"
    test_size: float = Field(0.2, gt=0, lt=1)
    seed: int = 0
    key: list[str] = Field(
        default_factory=list,
        description="stratified: columns that name what a row is about; rows that"
        " agree in them stay together",
    )
    group: str | None = Field(
        None,
        description="stratified: a column whose groups, such as households, are never"
        " on both sides; it is no input",
    )
    column: str | None = Field(None, description="time: rows are ordered by it")
    source: SourceSpec | None = Field(None, description="file: the test rows")
    folds: int | None = Field(
        None,
        ge=2,
        le=20,
        description="time, order: how many rolling origins are evaluated, of which the"
        " test rows are the last",
    )
    minimum: MinimumSpec = Field(default_factory=MinimumSpec)

    @property
    def beside_inputs(self) -> list[str]:
        """The columns that divide the rows and are no inputs of the model."""
        return [name for name in (self.column, self.group) if name is not None]

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """Columns by which rows stay on one side: of the group, and of the key."""
        group = [(self.group,)] if self.group is not None else []
        return (*group, *([tuple(self.key)] if self.key else []))

    @model_validator(mode="after")
    def _fields_match_type(self) -> "SplitSpec":
        if (self.type == "time") != (self.column is not None):
            raise ValueError("split type 'time' needs column, and only it takes one")
        if (self.type == "file") != (self.source is not None):
            raise ValueError("split type 'file' needs source, and only it takes one")
        if self.folds is not None and self.type not in BY_TIME:
            raise_faults(
                [
                    (
                        ("folds",),
                        f"only split types {' and '.join(BY_TIME)} take folds, found"
                        f" type '{self.type}'",
                    )
                ]
            )
        for name in ("key", "group"):
            if self.type != BY_ROWS and getattr(self, name):
                raise_faults(
                    [
                        (
                            (name,),
                            f"only split type '{BY_ROWS}' takes {name}, found type"
                            f" '{self.type}'",
                        )
                    ]
                )
        raise_faults((("key", *at), text) for at, text in repeated_names(self.key))
        return self
