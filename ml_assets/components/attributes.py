"""What stands under ``attributes``: a model's YAML, in which there may be templates.

``{{ ... }}`` may be any value. Values without one are left as they are written: Dagster
evaluates each text, so that ``"-999"`` would become a number.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler, RootModel, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ml_assets.spec.base import raise_faults
from ml_assets.spec.metrics import Kind
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.model_file import faults, has_template

# The keyword of our own in the JSON schema, for what no other keyword can check.
KEYWORD = "ml-assets-meaning"
# The JSON schema of each class, which every caller may change for itself.
_SCHEMAS: dict[type["Attributes"], str] = {}


class Attributes(RootModel[dict[str, Any]]):
    """A classifier's YAML as it is written, once nothing in it is wrong."""

    KIND: ClassVar[Kind] = "classification"
    # Keys that the component sets itself, or does not have.
    WITHOUT: ClassVar[tuple[str, ...]] = ("task", "interval")

    @model_validator(mode="after")
    def _are_right(self) -> "Attributes":
        raise_faults(faults(self.root, self.KIND))
        return self

    @classmethod
    def model_json_schema(cls, *arguments: Any, **named: Any) -> dict[str, Any]:
        """The schema of the YAML, with its meaning where a validator can check it.

        It is made once, for Dagster asks for it several times whenever it starts.
        """
        if "jsonschema" in sys.modules:
            from ml_assets.components.dg_check import register_keyword

            register_keyword()
        if arguments or named:
            return super().model_json_schema(*arguments, **named)
        if cls not in _SCHEMAS:
            _SCHEMAS[cls] = json.dumps(super().model_json_schema())
        found: dict[str, Any] = json.loads(_SCHEMAS[cls])
        return found

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema of the YAML, with the keyword for its meaning."""
        schema = handler(ModelSpec.__pydantic_core_schema__)
        whole = handler.resolve_ref_schema(schema)
        kept = {k: v for k, v in whole["properties"].items() if k not in cls.WITHOUT}
        return {**whole, "properties": kept, KEYWORD: cls.KIND}


class RegressorAttributes(Attributes):
    """A regressor's YAML as it is written, once nothing in it is wrong."""

    KIND: ClassVar[Kind] = "regression"
    WITHOUT: ClassVar[tuple[str, ...]] = ("task", "positive", "classes", "decision")


def resolved(value: Any, resolve: Callable[[str], Any]) -> Any:
    """`value` with each template in it replaced by what `resolve` makes of it."""
    if isinstance(value, Mapping):
        return {key: resolved(item, resolve) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, resolve) for item in value]
    return resolve(value) if has_template(value) else value
