"""The OpenAPI document of what is served: one exact schema per model."""

from collections.abc import Mapping
from typing import Any

import ml_assets
from ml_assets.records.plan import Column
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.openapi.operations import (
    ENTITY_PARAMETER,
    PROBLEM,
    docs,
    get,
    post,
    ref,
    text,
)
from ml_assets.serving.openapi.schemas import (
    column_schema,
    column_schemas,
    entity_schema,
    example,
    prediction,
    row_schema,
    split,
    strict_object,
    tensor_example,
    tensors,
)
from ml_assets.serving.protocols.feedback import ID_PATTERN
from ml_assets.serving.requests.timestamps import FIRST_TIMESTAMP, LAST_TIMESTAMP

_PARAMS = {
    "type": ["object", "null"],
    "description": "Accepted and named under warnings: no model has parameters.",
}
_CSV = {
    "type": "string",
    "minLength": 1,
    "description": "The first line names the columns; an empty cell is null.",
}
_ID = {"type": "string", "pattern": f"^{ID_PATTERN}$"}


# A key or a token, by either header.
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(
    models: Mapping[str, ServedModel], needs_key: bool = False
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `models`; `needs_key`: callers are to say who."""
    paths: dict[str, Any] = {
        "/models": get("The models that are served", "models", "server"),
        "/v2": get("The server's name and version", "v2", "server"),
        "/v2/health/live": get("Whether the server runs", "live", "server"),
        "/v2/health/ready": get("Whether every model is served", "ready", "server"),
        "/ping": get("The same, as MLflow's clients ask it", "ping", "server"),
        "/health": get("The same, as MLflow's clients ask it", "health", "server"),
        "/version": text("The server's version", "version"),
        "/docs": docs(),
        **_record_paths(models),
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
        **({"security": [{name: []} for name in _SECURITY]} if needs_key else {}),
        "components": {
            **({"securitySchemes": _SECURITY} if needs_key else {}),
            "schemas": {
                "Problem": PROBLEM,
                **{
                    f"{model.name}_row": row_schema(model.live.signature)
                    for model in models.values()
                },
            },
        },
    }


def _model_paths(model: ServedModel) -> dict[str, Any]:
    name = model.name
    signature = model.live.signature
    row = example(signature)
    rows = {"type": "array", "minItems": 1, "items": ref(f"{name}_row")}
    columns = strict_object(
        *column_schemas(signature, _values),
        description="All arrays have the same length.",
    )
    entity = entity_schema() | {"type": ["string", "null"]}
    entities = {
        "type": "array",
        "description": "Whom each row is about; an entity stays on one arm.",
        "items": entity,
    }
    body = {
        "oneOf": [
            strict_object({"rows": rows}, optional={"entities": entities}),
            strict_object({"columns": columns}, optional={"entities": entities}),
        ]
    }
    paths = {
        f"/models/{name}": get(f"The version and columns of {name}", name, name),
        f"/models/{name}/predict": post(
            f"Predict {signature.target}",
            f"predict_{name}",
            name,
            body,
            {"rows": [row]},
            prediction(signature, model.is_split),
        ),
        f"/v2/models/{name}": get("Metadata", f"v2_{name}", name),
        f"/v2/models/{name}/ready": get("Readiness", f"v2_ready_{name}", name),
        f"/v2/models/{name}/infer": _infer(model, f"infer_{name}"),
    }
    for number, arm in enumerate(model.answering):
        path = f"/v2/models/{name}/versions/{arm.version}"
        own = f"{name}_version_{number}"
        version = f"of version {arm.version}"
        paths[path] = get(f"Metadata {version}", f"v2_{own}", name)
        paths[f"{path}/ready"] = get(f"Readiness {version}", f"v2_ready_{own}", name)
        paths[f"{path}/infer"] = _infer(model, f"infer_{own}", f" {version}")
    paths[f"/models/{name}/predict"]["post"]["parameters"] = [ENTITY_PARAMETER]
    return paths


def _infer(model: ServedModel, operation: str, version: str = "") -> dict[str, Any]:
    signature = model.live.signature
    row = example(signature)
    found = post(
        f"Predict, by the Open Inference Protocol{version}",
        operation,
        model.name,
        tensors(model.name, signature),
        {"inputs": [tensor_example(item, row) for item in signature.inputs]},
        {"type": "object", "required": ["model_name", "outputs"]},
    )
    found["post"]["parameters"] = [ENTITY_PARAMETER]
    return found


def _values(column: Column) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": column_schema(column)}


def _invocations(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    rows = [ref(f"{name}_row") for name in models]
    items = rows[0] if len(rows) == 1 else {"oneOf": rows}
    records = {"type": "array", "minItems": 1, "items": items}
    first = next(iter(models.values()))
    operation = post(
        "Predict, as a client of MLflow does",
        "invocations",
        "server",
        {
            "oneOf": [
                strict_object({form: schema}, optional={"params": _PARAMS})
                for form, schema in {
                    "dataframe_records": records,
                    "inputs": records,
                    "instances": records,
                    "dataframe_split": split(first.live.signature),
                }.items()
            ]
        },
        {"dataframe_records": [example(first.live.signature)]},
        {"type": "object", "required": ["predictions"]},
    )
    body = operation["post"]["requestBody"]["content"]
    body["text/csv"] = {"schema": _CSV}
    operation["post"]["parameters"] = [
        {
            "name": "model",
            "in": "query",
            "required": len(models) > 1,
            "description": "Needed where several models are served.",
            "schema": {"enum": list(models)},
        },
        ENTITY_PARAMETER,
    ]
    return operation


def _record_paths(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    """``/feedback`` where there are models, and ``/predictions/{id}``."""
    found = get("A prediction that was made, and its input", "prediction", "server")
    found["get"]["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": _ID}
    ]
    paths: dict[str, Any] = {"/predictions/{id}": found}
    if models:
        paths["/feedback"] = _feedback(models)
    return paths


def _feedback(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    bodies = [_body(model) for model in models.values()]
    first = next(iter(models.values()))
    sample = {
        "id": "019aae2f-a000-7000-8000-000000000000",
        "label": first.live.task.label_example,
    }
    counts = {name: {"type": "integer"} for name in ("accepted", "by_id", "by_entity")}
    return post(
        "Tell what turned out",
        "feedback",
        "server",
        bodies[0] if len(bodies) == 1 else {"oneOf": bodies},
        {"model": first.name, "labels": [sample]},
        strict_object({"model": {"type": "string"}, **counts}),
        "202",
        "The labels are kept",
    )


def _body(model: ServedModel) -> dict[str, Any]:
    label = model.live.task.label_schema
    seconds = {"type": "number", "minimum": FIRST_TIMESTAMP, "maximum": LAST_TIMESTAMP}
    time = {"oneOf": [seconds, {"type": "string", "format": "date-time"}]}
    by_id = strict_object({"id": _ID, "label": label})
    by_entity = strict_object({"entity": entity_schema(), "time": time, "label": label})
    labels = {"type": "array", "minItems": 1, "items": {"oneOf": [by_id, by_entity]}}
    return strict_object({"model": {"const": model.name}, "labels": labels})
