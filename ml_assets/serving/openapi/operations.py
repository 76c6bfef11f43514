"""Operations of the OpenAPI document: what every address has in common."""

from typing import Any

from ml_assets.serving.requests.entities import HEADER_PATTERN

_JSON = "application/json"
_REFUSALS = {
    "400": "The body is not JSON, or does not name one of several models.",
    "401": "The caller has no valid API key, where the server asks for one.",
    "403": "The caller's key does not allow this route or this model.",
    "404": "There is no such model, version or prediction.",
    "405": "Another method is allowed here.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large, or has too many rows.",
    "415": "The content type or encoding is not one that is taken here.",
    "422": "The rows do not fit the model's columns.",
    "429": "The caller asks more often than its key allows.",
    "503": "The server is overloaded, or has no version loaded.",
}
_ACCESS = ("401", "403", "429")
_OPEN = ("live", "ready", "ping", "health")


def ref(name: str) -> dict[str, Any]:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def get(summary: str, operation: str, tag: str) -> dict[str, Any]:
    """An address that is read."""
    content = {_JSON: {"schema": {"type": "object"}}}
    responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    is_open = operation in _OPEN
    responses |= _refusals("405", "503", *(() if is_open else _ACCESS))
    if operation == "prediction":
        responses |= _refusals("404")
    if operation in ("ready", "ping", "health"):
        responses["503"] = {"description": "Not ready", "content": content}
    return {
        "get": {
            "summary": summary,
            "operationId": f"get_{operation}",
            "tags": [tag],
            "responses": responses,
        }
    }


def text(summary: str, operation: str) -> dict[str, Any]:
    """An address that answers with a line of text."""
    found = get(summary, operation, "server")
    content = {"text/plain": {"schema": {"type": "string"}}}
    found["get"]["responses"]["200"]["content"] = content
    return found


def docs() -> dict[str, Any]:
    """The page for people."""
    page = get("This page", "docs", "server")
    page["get"]["responses"]["200"]["content"] = {
        "text/html": {"schema": {"type": "string"}}
    }
    return page


def post(
    summary: str,
    operation: str,
    tag: str,
    schema: dict[str, Any],
    sample: dict[str, Any],
    answer: dict[str, Any],
    status: str = "200",
    description: str = "Predictions",
) -> dict[str, Any]:
    """An address that takes JSON."""
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
                status: {
                    "description": description,
                    "content": {_JSON: {"schema": answer}},
                },
                **_refusals(*_REFUSALS),
            },
        }
    }


def _refusals(*statuses: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {
        status: {"description": _REFUSALS[status], "content": content}
        for status in statuses
    }


# Keeps the answers of an entity on one arm where a plan splits the traffic.
ENTITY_PARAMETER = {
    "name": "X-Entity",
    "in": "header",
    "required": False,
    "description": "Whom all rows are about.",
    "schema": {"type": "string", "pattern": f"^{HEADER_PATTERN}$"},
}

PROBLEM = {
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
