"""Arrow streams in and out of the predict route."""

import json
import struct
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from ml_assets.records.plan import Arm, Column, ServingPlan
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.requests.messages import ARROW
from ml_assets_tests.kits.app import ROW, SIGNATURE, FakeRuntime, ask, served, server

PREDICT = "/models/census/predict"
TYPE = ARROW.decode()
ROWS = [ROW, {**ROW, "age": 60, "note": None}]


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def post(body: bytes, path: str = PREDICT, accept: str = "", **settings: Any) -> Any:
    headers = {"content-type": TYPE, **({"accept": accept} if accept else {})}
    return ask(server(served(), **settings), path, body, headers=headers)


def test_rows_of_a_stream_are_answered_as_json() -> None:
    answer = post(stream(pa.Table.from_pylist(ROWS)))
    assert answer.headers["content-type"] == "application/json"
    found = answer.json["predictions"]
    assert [item["probability"] for item in found] == [0.41, 0.6]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]])
def test_a_caller_that_takes_a_stream_gets_one(rows: list[dict[str, Any]]) -> None:
    answer = post(stream(pa.Table.from_pylist(rows)), accept=f"{TYPE}, */*")
    assert answer.headers["content-type"] == TYPE
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table.column_names == ["id", "probability", "label"]
    assert table["probability"].to_pylist() == [0.41, 0.6][: len(rows)]
    assert table["label"].to_pylist() == ["<=50K", ">50K"][: len(rows)]
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    request_id = answer.headers["x-request-id"]
    assert metadata == {
        "model": "census", "version": "v1", "arm": "live", "request_id": request_id,
    }  # fmt: skip


def test_json_may_be_answered_by_a_stream() -> None:
    answer = ask(
        server(served()), PREDICT, {"rows": ROWS}, headers={"accept": TYPE.upper()}
    )
    assert pa.ipc.open_stream(answer.body).read_all().num_rows == 2


def test_a_stream_of_several_batches_and_of_deltas_is_one_table() -> None:
    table = pa.Table.from_pylist(ROWS * 3)
    sex = table["sex"].dictionary_encode()
    table = table.set_column(table.column_names.index("sex"), "sex", sex)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    answer = post(sink.getvalue().to_pybytes())
    assert len(answer.json["predictions"]) == 6


def test_rows_of_a_split_name_the_version_that_answered_them() -> None:
    live = Arm(version="v1", bundle="b", files={}, runtime="compiled")
    half = msgspec.structs.replace(live, version="v2", mode="split", share=0.5)
    plan = ServingPlan(
        model="census", generation=1, arms=(live, half), created_at="now", reason="test"
    )
    arms = [
        ServedArm("census", arm, FakeRuntime(), 100, PredictionIds())
        for arm in plan.arms
    ]
    headers = {"content-type": TYPE, "accept": TYPE}
    body = stream(pa.Table.from_pylist(ROWS * 40))
    answer = ask(server(ServedModel(plan, arms)), PREDICT, body, headers=headers)
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table.column_names == ["id", "version", "arm", "probability", "label"]
    assert {*zip(table["version"].to_pylist(), table["arm"].to_pylist())} == {
        ("v1", "live"),
        ("v2", "split"),
    }
    assert table["probability"].to_pylist() == [0.41, 0.6] * 40
    assert b"version" not in table.schema.metadata


def test_unseen_categories_are_in_the_metadata() -> None:
    sex = Column(name="sex", kind="string", categories=("Female", "Male"), open=True)
    columns = tuple(sex if c.name == "sex" else c for c in SIGNATURE.columns)
    signature = msgspec.structs.replace(SIGNATURE, columns=columns)
    app = server(served(runtime=FakeRuntime(signature=signature)))
    body = stream(pa.Table.from_pylist([ROW, {**ROW, "sex": "other"}]))
    headers = {"content-type": TYPE, "accept": TYPE}
    answer = ask(app, PREDICT, body, headers=headers)
    metadata = pa.ipc.open_stream(answer.body).schema.metadata
    (warning,) = json.loads(metadata[b"warnings"])
    assert (warning["column"], warning["rows"]) == ("sex", [1])


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_inflated(kind: str) -> None:
    options = pa.ipc.IpcWriteOptions(compression=kind)
    plain = pa.Table.from_pylist(ROWS)
    sex = plain["sex"].dictionary_encode()
    for table in (plain, pa.table({"sex": sex})):
        answer = post(stream(table, options=options))
        assert answer.status == 400
        assert answer.json["type"] == "urn:ml-assets:problem:malformed-arrow"
        assert "found compressed ones" in answer.json["detail"]


def test_no_cut_and_no_changed_byte_of_a_stream_is_a_fault_of_the_server() -> None:
    whole = stream(pa.Table.from_pylist(ROWS))
    random = np.random.default_rng(0)
    app = server(served(runtime=Halves()))
    for _ in range(300):
        data = bytearray(whole)
        data[random.integers(len(data))] = random.integers(256)
        for body in (bytes(data), whole[: random.integers(len(whole))]):
            answer = ask(app, PREDICT, body, headers={"content-type": TYPE})
            assert answer.status in (200, 400, 413, 422), answer.body


class Halves(FakeRuntime):
    """Answers one half, whatever it is asked."""

    def predict_one(self, values: Any) -> float:
        return 0.5

    def predict_many(self, columns: Any) -> Any:
        return np.full(len(columns[0]), 0.5)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 64, b"\0" * 64])
def test_what_is_no_stream_is_refused(body: bytes) -> None:
    assert post(body).status in (400, 422)


def test_bounds_hold_for_streams() -> None:
    body = stream(pa.Table.from_pylist(ROWS * 51))
    assert post(body).json["type"].endswith("too-many-rows")
    assert post(body, max_body_bytes=100).status == 413
    # A column without buffers may have any number of rows.
    nothing = stream(pa.table({"age": pa.nulls(1_234_567)}))
    rows = [struct.pack("<q", size) for size in (1_234_567, 2**40)]
    assert post(nothing).status == post(nothing.replace(*rows)).status == 413


def test_wrong_rows_are_named() -> None:
    table = pa.Table.from_pylist([ROW, {**ROW, "sex": "x"}])
    problem = post(stream(table)).json
    assert problem["errors"][0]["row"] == 1
    assert problem["errors"][0]["column"] == "sex"


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/census/infer"])
def test_other_routes_take_json_alone(path: str) -> None:
    assert post(stream(pa.Table.from_pylist(ROWS)), path).status == 415


@pytest.mark.parametrize("kind", ["compiled", "sklearn"])
def test_both_runtimes_get_what_json_gives_them(kind: str) -> None:
    seen: list[Any] = []

    class Seeing(FakeRuntime):
        def predict_many(self, columns: Any) -> Any:
            seen.append([list(column) for column in columns])
            return super().predict_many(columns)

    app = server(served(runtime=Seeing(kind)))
    body = stream(pa.Table.from_pylist(ROWS))
    ask(app, PREDICT, body, headers={"content-type": TYPE})
    ask(app, PREDICT, json.dumps({"rows": ROWS}).encode())
    assert seen[0] == seen[1]
