"""The OpenAPI paths of what is kept: labels that come back, and past predictions."""

from collections.abc import Mapping
from typing import Any

from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.openapi.operations import get, post
from ml_assets.serving.openapi.schemas import entity_schema, strict_object
from ml_assets.serving.protocols.feedback import ID_PATTERN
from ml_assets.serving.requests.timestamps import FIRST_MOMENT, LAST_MOMENT

_ID = {"type": "string", "pattern": f"^{ID_PATTERN}$"}


def record_paths(models: Mapping[str, ServedModel]) -> dict[str, Any]:
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
        "label": first.live.signature.positive,
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
    signature = model.live.signature
    label = {"enum": [signature.negative, signature.positive]}
    seconds = {"type": "number", "minimum": FIRST_MOMENT, "maximum": LAST_MOMENT}
    time = {"oneOf": [seconds, {"type": "string", "format": "date-time"}]}
    by_id = strict_object({"id": _ID, "label": label})
    by_entity = strict_object({"entity": entity_schema(), "time": time, "label": label})
    labels = {"type": "array", "minItems": 1, "items": {"oneOf": [by_id, by_entity]}}
    return strict_object({"model": {"const": model.name}, "labels": labels})
