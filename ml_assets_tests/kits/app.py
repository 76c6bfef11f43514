"""A model server in this process: a runtime with chosen answers, and a client."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ml_assets.records.plan import Arm, Column, ServingPlan, Signature
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.settings import ServerSettings

SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        Column(name="hours-per-week", kind="integer"),
        Column(name="married", kind="boolean"),
        Column(name="sex", kind="string", categories=("Female", "Male")),
        Column(name="note", kind="string", nullable=True),
    ),
    target="income",
    negative="<=50K",
    positive=">50K",
)
ROW = {"age": 41, "hours-per-week": 40, "married": True, "sex": "Male", "note": "x"}


# As in a server, whose predictions and requests have ids of one source.
_IDS = PredictionIds()


class FakeRuntime:
    """Answers age / 100, so that a test can choose the answer."""

    def __init__(self, kind: str = "compiled", signature: Signature = SIGNATURE):
        self.kind = kind
        self.signature = signature

    def predict_one(self, values: Sequence[Any]) -> float:
        assert len(values) == len(self.signature.columns)
        return (values[0] or 0) / 100

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> Any:
        assert len(columns) == len(self.signature.columns)
        return np.array([(value or 0) / 100 for value in columns[0]])


def served(name: str = "census", runtime: Any = None, version: str = "v1"):
    arm = Arm(version=version, bundle="b", files={}, runtime="compiled")
    plan = ServingPlan(
        model=name, generation=1, arms=(arm,), created_at="now", reason="test"
    )
    loaded = ServedArm(name, arm, runtime or FakeRuntime(), 100, _IDS)
    return ServedModel(plan, [loaded])


def server(*models: ServedModel, missing: Sequence[str] = (), **settings: Any):
    settings = {"max_body_bytes": 100_000, "max_rows": 100, **settings}
    app = ModelServer(ServerSettings(**settings), Metrics(), _IDS)
    found = {model.name: model for model in models}
    app.state = ServedState(found, frozenset(missing), True, app.metrics)
    return app


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: ModelServer,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    query: str = "",
    chunks: Sequence[bytes] = (),
) -> Answer:
    """Send one request through the ASGI interface."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    given = {"content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "method": method or ("GET" if body is None and not chunks else "POST"),
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }
    parts: Any = chunks or [body or b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, sent[1]["body"])


def ask(app: ModelServer, path: str, body: Any = None, **more: Any) -> Answer:
    return asyncio.run(call(app, path, body, **more))
