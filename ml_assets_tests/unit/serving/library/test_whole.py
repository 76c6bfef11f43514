"""Long requests that a library process answers whole, as the server would itself."""

import json
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, Signature
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.library.remote import LibraryRuntime
from ml_assets.serving.models.bundle import write_bundle
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.process import model_loading
from ml_assets.serving.process.model_loading import ModelLoading
from ml_assets_tests.kits.access import bearer, guard, key, write_keys
from ml_assets_tests.kits.app import Answer, ask, server
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import plan

PREDICT, INFER, INVOKE = (
    "/models/census/predict",
    "/v2/models/census/infer",
    "/invocations",
)
ARROW = "application/vnd.apache.arrow.stream"
SIGNATURE = Signature(
    columns=(
        Column(name="amount", kind="number", nullable=True),
        Column(name="flag", kind="boolean"),
        Column(name="letter", kind="string", categories=("x", "y"), open=True),
    ),
    target="made",
    negative="no",
    positive="yes",
    threshold=0.3,
)
ROWS = [
    {
        "amount": None if at % 7 == 0 else at / 8,
        "flag": at % 2 == 0,
        "letter": "xy"[at % 2],
    }
    for at in range(40)
]
UNSEEN = [*ROWS, {"amount": 1.5, "flag": True, "letter": "unseen"}]
# What differs between two answers to the same request, and between their records.
ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES = re.compile(rb'"(time|us)":[0-9.]+')


class Kept:
    """The records that a model keeps, as a log takes them."""

    def __init__(self) -> None:
        self.parts: list[tuple[bytes, int]] = []

    def append(self, data: bytes, records: int) -> None:
        self.parts.append((data, records))

    @property
    def known(self) -> list[tuple[bytes, int]]:
        """The records without ids and times."""
        return [
            (TIMES.sub(rb'"\1":0', ID.sub(b"ID", data)), count)
            for data, count in self.parts
        ]

    @property
    def ids(self) -> list[str]:
        lines = [line for data, _ in self.parts for line in data.splitlines()]
        return [id_ for line in lines for id_ in json.loads(line)["ids"]]


class Side(NamedTuple):
    """A server of the model, and the records that it kept."""

    app: ModelServer
    kept: Kept

    def ask(self, path: str, body: Any, **more: Any) -> Answer:
        headers = {"x-request-id": "r1", **more.pop("headers", {})}
        return ask(self.app, path, body, headers=headers, **more)

    @property
    def unseen(self) -> dict[str, int]:
        return self.app.metrics.unseen("census").rows

    @property
    def rows(self) -> dict[tuple[str, ...], tuple[int, dict[int, int]]]:
        """The rows and statuses that are counted, by the series."""
        return {
            item.labels: (item.rows, item.statuses)
            for item in self.app.metrics._all()
            if item.statuses
        }


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Arm:
    """A compiled version in a storage, whose directory is its name."""
    root = tmp_path_factory.mktemp("storage")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.normal(size=400),
            "flag": rng.random(400) < 0.5,
            "letter": rng.choice(["x", "y"], 400),
        }
    )
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    encode = ColumnTransformer(
        [
            ("numbers", "passthrough", ["amount", "flag"]),
            ("categories", one_hot, ["letter"]),
        ]
    )
    estimator = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    pipeline.fit(frame, (frame.amount + frame.flag > 0.5) * 1)
    manifest = write_bundle(root / "bundle", pipeline, SIGNATURE, frame.head(60))
    assert manifest.runtime == "compiled", manifest.reason
    return Arm(
        version=str(root),
        bundle="bundle",
        files=dict(manifest.files),
        runtime=manifest.runtime,
    )


@pytest.fixture
def start(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Side]:
    """Starts a server of the model, whose long requests go to a pool if it has one."""
    monkeypatch.setenv("ML_ASSETS_CACHE", str(tmp_path))

    def started(pool: LibraryPool | None = None, **changes: Any) -> Side:
        # All but one row is long, and no answer is for the event loop.
        monkeypatch.setattr(model_loading, "_HERE_SECONDS", 0.0)
        loading = ModelLoading(Storage(arm.version), PredictionIds(), 50, library=pool)
        served = msgspec.structs.replace(plan(arm, 3), **changes)
        loaded = loading.load(served, loading.fetch(served))
        if pool is not None:
            loaded.live.runtime.here_bytes = 0
        kept = Kept()
        model = ServedModel(served, loaded.arms, Recorder(kept))
        model.inline_rows = model.inline_bytes = 0
        return Side(server(model), kept)

    return started


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts what is handed to a process whole, and what only its rows are."""
    found = [0, 0]
    serve, predict = LibraryRuntime.serve, LibraryRuntime.predict_many

    def serving(*given: Any) -> Any:
        found[0] += 1
        return serve(*given)

    def predicting(*given: Any) -> Any:
        found[1] += 1
        return predict(*given)

    monkeypatch.setattr(LibraryRuntime, "serve", serving)
    monkeypatch.setattr(LibraryRuntime, "predict_many", predicting)
    return found


def tensors(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    kinds = {"amount": "FP64", "flag": "BOOL", "letter": "BYTES"}
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": kind,
            "data": [row[name] for row in rows],
        }
        for name, kind in kinds.items()
    ]
    return {"inputs": inputs, **more}


def stream(rows: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def csv(rows: list[dict[str, Any]]) -> bytes:
    lines = [
        f"{'' if amount is None else amount},{flag},{letter}"
        for amount, flag, letter in (row.values() for row in rows)
    ]
    return "\n".join(["amount,flag,letter", *lines]).encode()


ENTITIES = [None if at % 3 else f"person-{at}" for at in range(len(ROWS))]
REQUESTS = {
    "rows": (PREDICT, {"rows": ROWS}, {}),
    "columns": (
        PREDICT,
        {"columns": {name: [row[name] for row in ROWS] for name in ROWS[0]}},
        {},
    ),
    "entities": (PREDICT, {"rows": ROWS, "entities": ENTITIES}, {}),
    "unseen": (PREDICT, {"rows": UNSEEN}, {}),
    "Arrow": (PREDICT, stream(ROWS), {"content-type": ARROW, "accept": ARROW}),
    "tensors": (INFER, tensors(UNSEEN, id="7"), {}),
    "version": (INFER, tensors(ROWS), {}),
    "binary": (INFER, tensors(ROWS, parameters={"binary_data_output": True}), {}),
    "records": (INVOKE, {"dataframe_records": UNSEEN, "params": {"a": 1}}, {}),
    "CSV": (INVOKE, csv(ROWS), {"content-type": "text/csv"}),
    "smoke": (PREDICT, {"rows": UNSEEN}, {"x-smoke-request": "1"}),
    "not JSON": (PREDICT, b'{"rows": [' + b" " * 9000, {}),
    "no rows": (PREDICT, {"rows": []}, {}),
    "too many rows": (PREDICT, {"rows": ROWS * 2}, {}),
    "wrong kind": (PREDICT, {"rows": [*ROWS, {**ROWS[0], "flag": "no"}]}, {}),
    "unknown column": (INVOKE, {"dataframe_records": [{"age": 1}]}, {}),
    "unknown output": (INFER, tensors(ROWS, outputs=[{"name": "a"}]), {}),
    "two entities": (
        PREDICT,
        {"rows": ROWS, "entities": ENTITIES},
        {"x-entity": "someone"},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_process_answers_and_keeps_what_the_server_would(
    start: Callable[..., Side], pool: LibraryPool, asked: list[int], name: str
) -> None:
    path, body, headers = REQUESTS[name]
    here, there = start(), start(pool)
    found = []
    for side in (here, there):
        address = path
        if name == "version":
            version = side.app.state.models["census"].live.version
            address = f"/v2/models/census/versions/{version}/infer"
        found.append(side.ask(address, body, headers=headers))
    assert asked == [1, 0]
    by_server, by_process = found
    assert by_process.status == by_server.status
    assert by_process.headers == by_server.headers
    if name == "Arrow":
        # Its buffers hold the ids.
        by_process, by_server = (
            pa.ipc.open_stream(item.body).read_all() for item in found
        )
        assert by_process.schema.equals(by_server.schema, check_metadata=True)
        assert by_process.drop(["id"]).equals(by_server.drop(["id"]))
    else:
        assert ID.sub(b"ID", by_process.body) == ID.sub(b"ID", by_server.body)
    assert there.kept.known == here.kept.known
    assert there.unseen == here.unseen
    assert there.rows == here.rows


def test_ids_of_processes_are_of_version_7_and_none_is_given_twice(
    start: Callable[..., Side], pool: LibraryPool
) -> None:
    side = start(pool)
    for _ in range(5):
        side.ask(PREDICT, {"rows": ROWS})
    assert {UUID(id_).version for id_ in side.kept.ids} == {7}
    assert len(set(side.kept.ids)) == 5 * len(ROWS)


def test_a_request_without_an_id_has_that_of_its_first_prediction(
    start: Callable[..., Side], pool: LibraryPool, asked: list[int]
) -> None:
    side = start(pool)
    answer = ask(side.app, PREDICT, {"rows": ROWS})
    assert asked == [1, 0]
    ids = [item["id"] for item in answer.json["predictions"]]
    assert answer.headers["x-request-id"] == answer.json["request_id"] == ids[0]
    assert side.kept.ids == ids and len({*ids}) == len(ROWS)


def test_who_asked_is_in_the_records(
    start: Callable[..., Side], pool: LibraryPool, tmp_path: Path
) -> None:
    side = start(pool)
    guard(side.app, write_keys(tmp_path / "keys.json", key("somebody")))
    headers = bearer("somebody.secret")
    assert side.ask(PREDICT, {"rows": ROWS}, headers=headers).status == 200
    [(data, _)] = side.kept.parts
    assert json.loads(data)["caller"] == "somebody"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_as_much_is_logged_as_the_plan_says(
    start: Callable[..., Side], pool: LibraryPool, share: float
) -> None:
    side = start(pool, log_sample=share)
    assert side.ask(PREDICT, {"rows": ROWS}).status == 200
    assert len(side.kept.ids) == share * len(ROWS)


def test_another_plan_of_the_same_version_is_in_the_records_of_its_requests(
    start: Callable[..., Side], pool: LibraryPool
) -> None:
    for generation in (4, 5):
        side = start(pool, generation=generation)
        side.ask(PREDICT, {"rows": ROWS})
        [(data, _)] = side.kept.parts
        assert json.loads(data)["generation"] == generation


def test_a_request_whose_process_is_killed_is_answered_and_logged_once(
    start: Callable[..., Side], pool: LibraryPool
) -> None:
    side = start(pool)
    before = side.ask(PREDICT, {"rows": ROWS})
    [child] = pool._children.values()
    # It holds the request, and never comes to answer it.
    os.kill(child._process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(side.ask, PREDICT, {"rows": ROWS})
        await_true(lambda: not pool._idle, "the process is asked")
        os.kill(child._process.pid, signal.SIGKILL)
        after = waiting.result()
    assert ID.sub(b"ID", after.body) == ID.sub(b"ID", before.body)
    assert len(side.kept.ids) == 2 * len(ROWS)


def test_what_takes_longer_than_a_turn_is_asked_in_turns(
    start: Callable[..., Side],
    pool: LibraryPool,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = start(), start(pool)
    there.ask(PREDICT, {"rows": ROWS[:2]})
    remote = there.app.state.models["census"].live.runtime.remote()
    monkeypatch.setattr(remote, "turn", 7)
    found = there.ask(PREDICT, {"rows": ROWS})
    assert asked == [2, 1]
    expected = here.ask(PREDICT, {"rows": ROWS})
    assert ID.sub(b"ID", found.body) == ID.sub(b"ID", expected.body)
    assert there.kept.known[1:] == here.kept.known


def test_the_failure_of_a_version_in_a_process_is_logged_for_each_row(
    start: Callable[..., Side], pool: LibraryPool, arm: Arm
) -> None:
    side = start(pool)
    side.ask(PREDICT, {"rows": ROWS})
    side.app.state.models["census"].live.runtime.remote().directory = "elsewhere"
    answer = side.ask(PREDICT, {"rows": ROWS})
    assert answer.status == 500
    data, count = side.kept.parts[-1]
    lines = [json.loads(line) for line in data.splitlines()]
    assert count == len(lines) == len(ROWS)
    assert {line["error"] for line in lines} == {"BundleError"}
    assert [line["x"][0] for line in lines] == [row["amount"] for row in ROWS]
