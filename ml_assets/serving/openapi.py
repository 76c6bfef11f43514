"""The OpenAPI document of what is served: one exact schema per model."""

from collections.abc import Mapping
from typing import Any

import ml_assets
from ml_assets.serving.plan import Column, Signature
from ml_assets.serving.router import ServedModel
from ml_assets.serving.v2 import DATATYPES

_JSON = "application/json"
_INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}
_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer", **_INT64},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
}
_REFUSALS = {
    "400": "The body is not JSON, or does not name one of several models.",
    "404": "There is no such model.",
    "405": "Another method is allowed here.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large, or has too many rows.",
    "415": "The content type is not application/json.",
    "422": "The rows do not fit the model's columns.",
    "503": "The server is overloaded, or has no version loaded.",
}


def document(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `models`."""
    paths: dict[str, Any] = {
        "/models": _get("The models that are served", "models", "server"),
        "/v2": _get("The server's name and version", "v2", "server"),
        "/v2/health/live": _get("Whether the server runs", "live", "server"),
        "/v2/health/ready": _get("Whether every model is served", "ready", "server"),
        "/docs": _docs(),
    }
    for model in models.values():
        paths |= _model_paths(model)
    if models:
        paths["/invocations"] = _invocations(models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Model server",
            "version": ml_assets.__version__,
            "description": "Predictions of the deployed models.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": _PROBLEM,
                **{
                    f"{model.name}_row": row_schema(model.live.signature)
                    for model in models.values()
                },
            }
        },
    }


def row_schema(signature: Signature) -> dict[str, Any]:
    """The JSON schema of one row."""
    return _object({item.name: column_schema(item) for item in signature.columns})


def column_schema(column: Column) -> dict[str, Any]:
    """The JSON schema of one value.

    Examples
    --------
    >>> column_schema(Column(name="age", kind="number", nullable=True))
    {'type': ['number', 'null']}
    """
    schema = dict(_TYPES[column.kind])
    if column.categories is not None:
        schema["enum"] = [*column.categories, *([None] if column.nullable else [])]
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def example(signature: Signature) -> dict[str, Any]:
    """A row that the model takes."""
    samples: dict[str, Any] = {
        "number": 1.5, "integer": 1, "boolean": True, "string": "text",
    }  # fmt: skip
    return {
        item.name: item.categories[0] if item.categories else samples[item.kind]
        for item in signature.columns
    }


def _model_paths(model: ServedModel) -> dict[str, Any]:
    name = model.name
    signature = model.live.signature
    row = example(signature)
    rows = {"type": "array", "minItems": 1, "items": _ref(f"{name}_row")}
    columns = _object(
        {
            item.name: {"type": "array", "minItems": 1, "items": column_schema(item)}
            for item in signature.columns
        },
        description="All arrays have the same length.",
    )
    body = {"oneOf": [_object({"rows": rows}), _object({"columns": columns})]}
    return {
        f"/models/{name}": _get(f"The version and columns of {name}", name, name),
        f"/models/{name}/predict": _post(
            f"Predict {signature.target}",
            f"predict_{name}",
            name,
            body,
            {"rows": [row]},
            _prediction(signature),
        ),
        f"/v2/models/{name}": _get("Metadata", f"v2_{name}", name),
        f"/v2/models/{name}/ready": _get("Readiness", f"v2_ready_{name}", name),
        f"/v2/models/{name}/infer": _post(
            "Predict, by the Open Inference Protocol",
            f"infer_{name}",
            name,
            _tensors(signature),
            {"inputs": [_tensor_example(item, row) for item in signature.columns]},
            {"type": "object", "required": ["model_name", "outputs"]},
        ),
    }


def _tensors(signature: Signature) -> dict[str, Any]:
    items = [
        _object(
            {
                "name": {"const": item.name},
                "datatype": {"enum": list(DATATYPES[item.kind])},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "data": {"type": "array", "minItems": 1, "items": column_schema(item)},
            }
        )
        for item in signature.columns
    ]
    inputs = {
        "type": "array",
        "description": "One tensor per column, in any order, all of shape [n] or"
        " [n, 1].",
        "minItems": len(items),
        "prefixItems": items,
        "items": False,
    }
    return _object({"inputs": inputs}, optional={"id": {"type": "string"}})


def _tensor_example(column: Column, row: dict[str, Any]) -> dict[str, Any]:
    datatype = DATATYPES[column.kind][0]
    data = [row[column.name]]
    return {"name": column.name, "datatype": datatype, "shape": [1], "data": data}


def _invocations(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    rows = [_ref(f"{name}_row") for name in models]
    items = rows[0] if len(rows) == 1 else {"oneOf": rows}
    records = {"type": "array", "minItems": 1, "items": items}
    first = next(iter(models.values()))
    operation = _post(
        "Predict, as a client of MLflow does",
        "invocations",
        "server",
        {
            "oneOf": [
                _object({"dataframe_records": records}),
                _object({"inputs": records}),
                _object({"dataframe_split": _split(first.live.signature)}),
            ]
        },
        {"dataframe_records": [example(first.live.signature)]},
        {"type": "object", "required": ["predictions"]},
    )
    operation["post"]["parameters"] = [
        {
            "name": "model",
            "in": "query",
            "required": len(models) > 1,
            "description": "Needed where several models are served.",
            "schema": {"enum": list(models)},
        }
    ]
    return operation


def _split(signature: Signature) -> dict[str, Any]:
    row = {
        "type": "array",
        "minItems": len(signature.columns),
        "prefixItems": [column_schema(item) for item in signature.columns],
        "items": False,
    }
    names = {"const": [item.name for item in signature.columns]}
    return _object(
        {"columns": names, "data": {"type": "array", "minItems": 1, "items": row}},
        optional={"index": {"type": "array"}},
        description="The columns in any order, and one array of values per row.",
    )


def _prediction(signature: Signature) -> dict[str, Any]:
    item = _object(
        {
            "id": {"type": "string", "format": "uuid"},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "label": {"enum": [signature.negative, signature.positive]},
        }
    )
    text = {"type": "string"}
    fields = {name: text for name in ("model", "version", "arm", "request_id")}
    return _object({**fields, "predictions": {"type": "array", "items": item}})


def _object(
    properties: dict[str, Any],
    optional: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
        **more,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _get(summary: str, operation: str, tag: str) -> dict[str, Any]:
    content = {_JSON: {"schema": {"type": "object"}}}
    responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    responses |= _refusals("405", "503")
    if operation == "ready":
        responses["503"] = {"description": "Not ready", "content": content}
    return {
        "get": {
            "summary": summary,
            "operationId": f"get_{operation}",
            "tags": [tag],
            "responses": responses,
        }
    }


def _docs() -> dict[str, Any]:
    page = _get("This page", "docs", "server")
    page["get"]["responses"]["200"]["content"] = {
        "text/html": {"schema": {"type": "string"}}
    }
    return page


def _post(
    summary: str,
    operation: str,
    tag: str,
    schema: dict[str, Any],
    sample: dict[str, Any],
    answer: dict[str, Any],
) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "operationId": operation,
            "tags": [tag],
            "requestBody": {
                "required": True,
                "content": {_JSON: {"schema": schema, "example": sample}},
            },
            "responses": {
                "200": {
                    "description": "Predictions",
                    "content": {_JSON: {"schema": answer}},
                },
                **_refusals(*_REFUSALS),
            },
        }
    }


def _refusals(*statuses: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {
        status: {"description": _REFUSALS[status], "content": content}
        for status in statuses
    }


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["expected", "found"],
                "properties": {
                    "row": {"type": "integer"},
                    "column": {"type": "string"},
                    "expected": {"type": "string"},
                    "found": {"type": "string"},
                },
            },
        },
    },
}
