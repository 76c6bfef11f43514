"""Tensors after the JSON of a request, and after that of an answer."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from ml_assets_tests.kits.app import ROW, ask, served, server

INFER = "/v2/models/census/infer"
HEADER = "inference-header-content-length"


def texts(*values: str) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(item)) + item for item in encoded)


DATA = {
    "age": ("FP32", np.array([41, 60], "<f4").tobytes()),
    "hours-per-week": ("INT64", np.array([40, -7], "<i8").tobytes()),
    "married": ("BOOL", b"\x01\x00"),
    "sex": ("BYTES", texts("Male", "Female")),
    "note": ("BYTES", texts("ü", "")),
}


def post(
    changes: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    extra: bytes = b"",
    length: int | None = None,
    **payload: Any,
) -> Any:
    data = DATA | (changes or {})
    tensors = [
        {
            "name": name,
            "shape": [2],
            "datatype": datatype,
            "parameters": {"binary_data_size": len(part)},
        }
        | (inputs or {}).get(name, {})
        for name, (datatype, part) in data.items()
    ]
    head = json.dumps({"inputs": tensors, **payload}).encode()
    body = head + b"".join(part for _, part in data.values()) + extra
    size = len(head) if length is None else length
    headers = {"content-type": "application/octet-stream", HEADER: str(size)}
    return ask(server(served()), INFER, body, headers=headers)


def outputs(answer: Any) -> dict[str, Any]:
    return {item["name"]: item for item in answer.json["outputs"]}


def test_binary_tensors_are_the_values_that_json_has() -> None:
    found = outputs(post())
    assert found["probability"]["data"] == [0.41, 0.6]
    assert found["label"]["data"] == ["<=50K", ">50K"]


def test_tensors_with_data_stand_between_binary_ones() -> None:
    data = {"sex": ("BYTES", b"")}
    given = {"sex": {"parameters": {}, "data": ["Male", "Male"]}}
    assert outputs(post(data, given))["probability"]["data"] == [0.41, 0.6]


def test_nan_is_a_missing_value() -> None:
    age = np.array([np.nan, 60], "<f8").tobytes()
    assert outputs(post({"age": ("FP64", age)}))["probability"]["data"] == [0.0, 0.6]


def test_outputs_are_binary_where_the_request_has_it() -> None:
    wanted = [
        {"name": "label", "parameters": {"binary_data": True}},
        {"name": "probability", "parameters": {"binary_data": False}},
    ]
    answer = post(outputs=wanted)
    size = int(answer.headers[HEADER])
    assert answer.headers["content-type"] == "application/octet-stream"
    found = {item["name"]: item for item in json.loads(answer.body[:size])["outputs"]}
    assert found["probability"]["data"] == [0.41, 0.6]
    assert "data" not in found["label"]
    rest = answer.body[size:]
    assert found["label"]["parameters"]["binary_data_size"] == len(rest)
    assert rest == texts("<=50K", ">50K")


def test_all_outputs_may_be_binary() -> None:
    answer = post(parameters={"binary_data_output": True})
    size = int(answer.headers[HEADER])
    found = json.loads(answer.body[:size])["outputs"]
    sizes = {item["name"]: item["parameters"]["binary_data_size"] for item in found}
    start = size + sum(
        sizes[item] for item in [*sizes][: [*sizes].index("probability")]
    )
    values = np.frombuffer(answer.body[start : start + sizes["probability"]], "<f8")
    assert values.tolist() == [0.41, 0.6]
    assert size + sum(sizes.values()) == len(answer.body)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"changes": {"age": ("FP32", b"\0" * 7)}}, "expected a multiple of 4 bytes"),
        ({"changes": {"age": ("FP8", b"\0" * 8)}}, "expected a datatype of the prot"),
        ({"changes": {"note": ("BYTES", b"\1\0")}}, "expected elements of BYTES"),
        ({"changes": {"note": ("BYTES", b"\2\0\0\0x")}}, "expected elements of BYTES"),
        ({"changes": {"note": ("BYTES", b"\1\0\0\0\xff")}}, "expected texts in UTF-8"),
        ({"inputs": {"note": {"data": []}}}, "either data or a binary_data_size"),
        ({"inputs": {"age": {"shape": [3]}}}, "expected shape [2] or [2, 1]"),
        ({"extra": b"x"}, "bytes of binary tensors, found"),
        (
            {"inputs": {"note": {"parameters": {"binary_data_size": 99}}}},
            "column 'note': expected 99 bytes of data",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    answer = post(**changes)
    assert answer.status == 422
    assert message in answer.json["detail"]


def test_json_longer_than_the_body_is_refused() -> None:
    answer = post(length=10**6)
    assert answer.status == 400
    assert "Inference-Header-Content-Length says" in answer.json["detail"]


def test_the_extension_is_named_and_plain_requests_need_none() -> None:
    app = server(served())
    assert "binary_tensor_data" in ask(app, "/v2").json["extensions"]
    rows = {"rows": [ROW]}
    answer = ask(app, "/models/census/predict", rows, headers={HEADER: "3"})
    assert answer.status == 200
