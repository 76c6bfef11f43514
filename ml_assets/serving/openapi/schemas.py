"""JSON schemas of what a model takes and gives."""

from collections.abc import Callable
from typing import Any

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.protocols.tensors import DATATYPES
from ml_assets.serving.requests.entities import ENTITY_LENGTH
from ml_assets.serving.tasks import answers_of
from ml_assets.serving.tasks.interval import LIMITS

_INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}
_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer", **_INT64},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
}


_UNSEEN = {
    "type": "object",
    "description": "Rows, counted from 0, whose category training did not see.",
    "required": ["type", "column", "rows"],
    "properties": {
        "type": {"const": "unseen-category"},
        "column": {"type": "string"},
        "rows": {"type": "array", "items": {"type": "integer"}},
    },
}


def row_schema(signature: Signature) -> dict[str, Any]:
    """The JSON schema of one row."""
    return strict_object(*column_schemas(signature, column_schema))


def column_schemas(
    signature: Signature, schema: Callable[[Column], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of the columns that a request must have, and may have."""
    must = {item.name: schema(item) for item in signature.columns if not item.optional}
    may = {item.name: schema(item) for item in signature.columns if item.optional}
    return must, may


def column_schema(column: Column) -> dict[str, Any]:
    """The JSON schema of one value.

    Examples
    --------
    >>> column_schema(Column(name="age", kind="number", nullable=True))
    {'type': ['number', 'null']}
    >>> column_schema(Column(name="sex", kind="string", categories=("f",), open=True))
    {'type': 'string', 'examples': ['f']}
    """
    schema = dict(_TYPES[column.kind])
    if column.ignored:
        schema["description"] = "No input of the model: it may be there, or not."
    if column.listed is not None and not column.open:
        schema["enum"] = [*column.listed, *([None] if column.nullable else [])]
    elif column.listed:
        schema["examples"] = [*column.listed]
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def example(signature: Signature) -> dict[str, Any]:
    """A row that the model takes, of the columns that it reads."""
    samples: dict[str, Any] = {
        "number": 1.5, "integer": 1, "boolean": True, "string": "text",
    }  # fmt: skip
    # A closed list needs one of its values, however many there are.
    return {
        item.name: (
            item.categories[0]
            if item.categories and (item.listed or not item.open)
            else samples[item.kind]
        )
        for item in signature.inputs
    }


def tensors(name: str, signature: Signature) -> dict[str, Any]:
    """The JSON schema of the body of an inference request."""
    items = [
        strict_object(
            {
                "name": {"const": item.name},
                "datatype": {"enum": list(DATATYPES[item.kind])},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "data": {"type": "array", "minItems": 1, "items": column_schema(item)},
            }
        )
        for item in signature.inputs
    ]
    inputs = {
        "type": "array",
        "description": "One tensor per column, in any order, all of shape [n] or"
        " [n, 1]. Optional columns may be left out.",
        "minItems": len(items),
        "prefixItems": items,
        "items": False,
    }
    if all(item.kind in ("number", "integer") for item in signature.inputs):
        inputs = {"anyOf": [inputs, _matrix(len(items))]}
    return strict_object({"inputs": inputs}, optional=_request(name))


def _request(name: str) -> dict[str, Any]:
    """What an inference request may have beside its tensors."""
    return {
        "id": {"type": ["string", "null"]},
        "model_name": {"enum": [name, None]},
        "parameters": {"type": ["object", "null"]},
    }


def _matrix(width: int) -> dict[str, Any]:
    """The schema of `inputs` as one tensor with all columns."""
    rows = {"type": "array", "minItems": 1, "items": {"type": "array"}}
    tensor = strict_object(
        {
            "name": {"type": "string"},
            "datatype": {"enum": list(DATATYPES["number"])},
            "shape": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"const": width}],
                "minItems": 2,
                "items": False,
            },
            "data": rows,
        },
        description="All columns in the order of the metadata, by rows.",
    )
    return {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor}


def tensor_example(column: Column, row: dict[str, Any]) -> dict[str, Any]:
    """A tensor of one value."""
    datatype = DATATYPES[column.kind][0]
    data = [row[column.name]]
    return {"name": column.name, "datatype": datatype, "shape": [1], "data": data}


def split(signature: Signature) -> dict[str, Any]:
    """The JSON schema of MLflow's ``dataframe_split``."""
    row = {
        "type": "array",
        "minItems": len(signature.inputs),
        "prefixItems": [column_schema(item) for item in signature.inputs],
        "items": False,
    }
    names = {"const": [item.name for item in signature.inputs]}
    return strict_object(
        {"columns": names, "data": {"type": "array", "minItems": 1, "items": row}},
        optional={"index": {"type": "array"}},
        description="The columns in any order, and one array of values per row.",
    )


def entity_schema() -> dict[str, Any]:
    """The JSON schema of the name of an entity."""
    return {"type": "string", "minLength": 1, "maxLength": ENTITY_LENGTH}


def prediction(signature: Signature, is_split: bool) -> dict[str, Any]:
    """The JSON schema of an answer; if `is_split`, each row names its arm."""
    text = {"type": "string"}
    own = {"version": text, "arm": text} if is_split else {}
    members = {"id": {"type": "string", "format": "uuid"}}
    members |= answers_of(signature).schema | own
    # Of the versions of a split, one may have an interval and another none.
    is_varied = is_split and signature.task == "regression"
    ends = {n: members.pop(n, {"type": "number"}) for n in LIMITS if is_varied}
    item = strict_object(members, optional=ends)
    name = {"type": ["string", "null"]} if is_split else text
    fields = {"model": text, "version": name, "arm": name, "request_id": text}
    return strict_object(
        {**fields, "predictions": {"type": "array", "items": item}},
        optional={"warnings": {"type": "array", "items": _UNSEEN}},
    )


def strict_object(
    properties: dict[str, Any],
    optional: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The JSON schema of an object that has these properties and no other."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
        **more,
    }
