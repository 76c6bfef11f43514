"""A server process that is asked by PyArrow, and by binary tensors."""

import json
import struct
import urllib.error
import urllib.request

import numpy as np
import pyarrow as pa
import pytest

from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.serving import Server, plan
from ml_assets_tests.kits.task_versions import (
    CLASSES,
    DEMAND,
    ROWS,
    TICKETS,
    write_version,
)

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("arrow")
    for name, task in (("tickets", TICKETS), ("demand", DEMAND)):
        arm = write_version(root, name[0], task)
        published(root).publish(plan(arm, 1, name))
    with Server(root) as found:
        for name in ("tickets", "demand"):
            found.logged("plan loaded", model=name)
        yield found
        assert found.stop() == 0


def post(server, path, body, headers):
    url = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read(), answer.headers


def stream(rows):
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_arrow_gets_the_bits_of_json_and_is_logged(server):
    headers = {"content-type": ARROW, "accept": ARROW}
    for name in ("tickets", "demand"):
        expected = server.predict(ROWS, name)["predictions"]
        path = f"/models/{name}/predict"
        body, answered = post(server, path, stream(ROWS), headers)
        assert answered["content-type"] == ARROW
        found = pa.ipc.open_stream(body).read_all().to_pylist()
        without_ids = [
            [{k: v for k, v in item.items() if k != "id"} for item in items]
            for items in (found, expected)
        ]
        assert without_ids[0] == without_ids[1]
        stored = json.loads(server.get(f"/predictions/{found[1]['id']}")[1])
        assert stored["id"] == found[1]["id"]


def test_a_probability_of_each_class_has_a_field_of_its_own(server):
    headers = {"content-type": "application/json", "accept": ARROW}
    body = json.dumps({"rows": ROWS}).encode()
    answer, _ = post(server, "/models/tickets/predict", body, headers)
    kind = pa.ipc.open_stream(answer).read_all().schema.field("probabilities").type
    assert [field.name for field in kind] == [*CLASSES]


def test_a_broken_stream_is_a_problem_and_the_server_goes_on(server):
    whole = stream(ROWS)
    for body in (b"", whole[:-40], whole[: len(whole) // 2] + b"\xff" * 200):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(server, "/models/demand/predict", body, {"content-type": ARROW})
        assert caught.value.code in (400, 422)
    assert len(server.predict(ROWS, "demand")["predictions"]) == len(ROWS)


def test_binary_tensors_get_the_bits_of_json(server):
    expected = [p["value"] for p in server.predict(ROWS, "demand")["predictions"]]
    inputs, parts = [], []
    for name in ROWS[0]:
        values = [row[name] for row in ROWS]
        if isinstance(values[0], str):
            texts = [value.encode() for value in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
            kind = "BYTES"
        else:
            filled = [np.nan if value is None else value for value in values]
            data, kind = np.array(filled, "<f8").tobytes(), "FP64"
        parts.append(data)
        inputs.append(
            {
                "name": name,
                "shape": [len(ROWS)],
                "datatype": kind,
                "parameters": {"binary_data_size": len(data)},
            }
        )
    request = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    head = json.dumps(request).encode()
    body, headers = post(
        server,
        "/v2/models/demand/infer",
        head + b"".join(parts),
        {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(head)),
        },
    )
    size = int(headers["Inference-Header-Content-Length"])
    at = size
    for output in json.loads(body[:size])["outputs"]:
        end = at + output["parameters"]["binary_data_size"]
        if output["name"] == "value":
            assert np.frombuffer(body[at:end], "<f8").tolist() == expected
            return
        at = end
    pytest.fail("the answer has no value")
