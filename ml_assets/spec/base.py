"""The base class of the models of a YAML, and errors that name a location in it."""

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    ValidationError,
)

TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}
SHOWN = ("title", "description", "default")
# What YAML calls a mapping.
_DICTIONARY = re.compile(r"a valid dictionary( or instance of \w+)?")

# Keys and positions of a list that lead to a value, as pydantic's ``loc``; and what is
# wrong with that value.
Location = tuple[str | int, ...]
Fault = tuple[Location, str]


class BaseSpec(BaseModel):
    """A piece of a model's YAML: immutable; unknown keys and infinities are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema, which allows a template of Dagster for a value."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, form in properties.items():
            properties[name] = _or_a_template(form)
        return schema


def _or_a_template(form: dict[str, Any]) -> dict[str, Any]:
    """`form`, unless the value is a template; what has no value of its own stays."""
    is_free_text = form.get("type") == "string" and not form.keys() & {
        "pattern",
        "enum",
    }
    if is_free_text or form.get("type") in ("object", "array") or "$ref" in form:
        return form
    shown = {key: form[key] for key in SHOWN if key in form}
    rest = {key: form[key] for key in form if key not in SHOWN}
    return {**shown, "if": TEMPLATE, "else": rest}


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise pydantic's error, if there is a fault, with the location of each."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("invalid", "{message}", {"message": message}),
            loc=location,
            input=None,
        )
        for location, message in faults
    ]
    if details:
        raise ValidationError.from_exception_data("model", details)


def repeated_names(names: Iterable[str]) -> Iterator[Fault]:
    """Names that a list has twice."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            yield (position,), f"'{name}' is named twice"
        seen.add(name)


def with_found(message: str, value: object) -> str:
    """A message of pydantic's own with the value that it refuses.

    Examples
    --------
    >>> with_found("Input should be less than 1", 1.5)
    'Input should be less than 1, found 1.5'
    >>> with_found("Input should be a valid dictionary or instance of A", ["a"])
    'Input should be a mapping, found a list'
    >>> with_found("Value error, must be team:NAME", "me")
    'must be team:NAME'
    """
    if not message.startswith("Input should"):
        return message.removeprefix("Value error, ")
    found = reprlib.repr(value)
    if isinstance(value, Mapping | list):
        found = "a mapping" if isinstance(value, Mapping) else "a list"
    return f"{_DICTIONARY.sub('a mapping', message)}, found {found}"
