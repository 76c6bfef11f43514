"""The OpenAPI document of what is served: one exact schema per model."""

from collections.abc import Mapping
from typing import Any

import ml_assets
from ml_assets.serving.router import ServedModel
from ml_assets.serving.schemas import (
    column_schema,
    example,
    prediction,
    row_schema,
    split,
    strict_object,
    tensor_example,
    tensors,
)

_JSON = "application/json"
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


def _model_paths(model: ServedModel) -> dict[str, Any]:
    name = model.name
    signature = model.live.signature
    row = example(signature)
    rows = {"type": "array", "minItems": 1, "items": _ref(f"{name}_row")}
    columns = strict_object(
        {
            item.name: {"type": "array", "minItems": 1, "items": column_schema(item)}
            for item in signature.columns
        },
        description="All arrays have the same length.",
    )
    body = {
        "oneOf": [strict_object({"rows": rows}), strict_object({"columns": columns})]
    }
    return {
        f"/models/{name}": _get(f"The version and columns of {name}", name, name),
        f"/models/{name}/predict": _post(
            f"Predict {signature.target}",
            f"predict_{name}",
            name,
            body,
            {"rows": [row]},
            prediction(signature),
        ),
        f"/v2/models/{name}": _get("Metadata", f"v2_{name}", name),
        f"/v2/models/{name}/ready": _get("Readiness", f"v2_ready_{name}", name),
        f"/v2/models/{name}/infer": _post(
            "Predict, by the Open Inference Protocol",
            f"infer_{name}",
            name,
            tensors(signature),
            {"inputs": [tensor_example(item, row) for item in signature.columns]},
            {"type": "object", "required": ["model_name", "outputs"]},
        ),
    }


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
                strict_object({"dataframe_records": records}),
                strict_object({"inputs": records}),
                strict_object({"dataframe_split": split(first.live.signature)}),
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
