"""Kinds of columns that a model's YAML gives, whatever was read; and the contract's."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ml_assets.spec.base import BaseSpec, Fault, raise_faults, repeated_names

if TYPE_CHECKING:
    from ml_assets.spec.model import ModelSpec

ColumnKind = Literal["number", "category", "text", "date", "boolean"]
# Lists of ``features``, and the kinds that they mean.
KINDS: dict[str, tuple[ColumnKind, ...]] = {
    "numeric": ("number",),
    "categorical": ("category", "boolean"),
    "dates": ("date",),
}


class ContractSpec(BaseSpec):
    """What the schema contract compares."""

    ignore: list[str] = Field(
        default_factory=list,
        description="columns that are not compared with the last accepted data",
    )

    @field_validator("ignore")
    @classmethod
    def _are_unique(cls, value: list[str]) -> list[str]:
        raise_faults(repeated_names(value))
        return value


def inputs_of_kind(columns: Mapping[str, ColumnKind], key: str) -> list[str]:
    """The columns whose kind a list of ``features`` means.

    Examples
    --------
    >>> inputs_of_kind({"zip": "text", "plan": "category", "fee": "number"}, "numeric")
    ['fee']
    """
    return [name for name, kind in columns.items() if kind in KINDS[key]]


def texts_of(columns: Mapping[str, ColumnKind]) -> Collection[str]:
    """The columns whose cells are texts, such as codes, whatever they look like."""
    return {name for name, kind in columns.items() if kind in ("text", "date")}


def column_faults(spec: "ModelSpec") -> Iterator[Fault]:
    """Where ``columns`` and another key of the YAML contradict each other."""
    features, group = spec.features, spec.split.group
    for name, kind in spec.columns.items():
        at = ("columns", name)
        if name == spec.target:
            yield at, f"'{name}' is the target, whose classes its values are"
        elif name in features.drop:
            yield at, f"'{name}' is dropped (features.drop), so it has no kind"
        elif name in features.derive:
            yield at, f"'{name}' is derived (features.derive), so it is a number"
        elif name in spec.split.beside_inputs and kind not in ("text", "date"):
            key = "group" if name == group else "column"
            yield at, (
                f"'{name}' divides the rows (split.{key}), so it is no input: found"
                f" '{kind}', expected text, date or nothing"
            )
        for key in KINDS:
            named = name in getattr(features, key)
            if named and name not in inputs_of_kind({name: kind}, key):
                yield at, f"'{name}' is {kind} here, but stands under features.{key}"
        if name in features.text and kind != "text":
            yield at, f"'{name}' is {kind} here, but stands under features.text"
