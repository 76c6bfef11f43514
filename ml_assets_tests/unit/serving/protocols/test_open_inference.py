"""Versions, matrices, datatypes and errors of the Open Inference Protocol."""

import json

import numpy as np
import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.http.served_state import ServedState
from ml_assets_tests.kits.app import FakeRuntime, ask, served, server
from ml_assets_tests.kits.connections import INFER

VERSION = "/v2/models/census/versions/v1"
NUMBERS = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        Column(name="hours", kind="integer"),
    ),
    target="income",
    negative="<=50K",
    positive=">50K",
)


class Half(FakeRuntime):
    """Answers one half, whatever the values are."""

    def predict_one(self, values):
        return 0.5


def numeric(kind=FakeRuntime):
    return server(served(runtime=kind(signature=NUMBERS)))


def tensor(data, shape, datatype="FP64", name="input-0"):
    inputs = [{"name": name, "shape": shape, "datatype": datatype, "data": data}]
    return {"inputs": inputs}


def test_a_version_answers_as_the_model_does():
    app = server(served())
    body = json.loads(INFER) | {"id": "7", "parameters": {"any": 1}}
    answer = ask(app, f"{VERSION}/infer", body).json
    assert (answer["model_version"], answer["id"]) == ("v1", "7")
    assert answer["outputs"][0]["data"] == [0.41]
    assert ask(app, VERSION).json["versions"] == ["v1"]
    assert ask(app, f"{VERSION}/ready").json["ready"] is True


@pytest.mark.parametrize("end", ["", "/ready", "/infer"])
def test_a_version_that_is_not_served_is_not_found(end):
    app = server(served())
    body = json.loads(INFER) if end == "/infer" else None
    answer = ask(app, f"/v2/models/census/versions/v2{end}", body)
    assert (answer.status, answer.json["error"]) == (
        404,
        "the versions of census here are v1",
    )


def test_a_new_plan_takes_the_addresses_of_the_former_versions_with_it():
    app = server(served())
    app.state = app.state.updated(frozenset(), served(version="v2"))
    assert ask(app, VERSION).status == 404
    answer = ask(app, "/v2/models/census/versions/v2/infer", json.loads(INFER))
    assert answer.json["model_version"] == "v2"
    assert app.state.fast_routes.keys() >= {b"/v2/models/census/versions/v2/infer"}
    assert f"{VERSION}/infer".encode() not in app.state.fast_routes


@pytest.mark.parametrize(
    "data",
    [[41.0, 40.0, None, 20.0], [[41.0, 40.0], [None, 20.0]]],
    ids=["flat", "nested"],
)
def test_one_tensor_holds_all_columns_where_they_are_numbers(data):
    answer = ask(numeric(), "/v2/models/census/infer", tensor(data, [2, 2]))
    assert answer.json["outputs"][0]["data"] == [0.41, 0]


@pytest.mark.parametrize(
    "body, message",
    [
        (tensor([1, 2, 3], [2, 2]), "expected 4 values, as the shape says, found 3"),
        (tensor([[1, 2]], [2, 2]), "expected 2 rows, as the shape says, found 1"),
        (tensor([[1, 2, 3]], [1, 3]), "expected an array of 2 values"),
        (tensor([[1, 2], 3], [2, 2]), "row 1: expected an array of 2 values, found a"),
        (tensor([[1, 2.5]], [1, 2]), "column 'hours': expected an integer"),
        (tensor([[1, 300]], [1, 2], "INT8"), "integers of INT8, from -128 to 127"),
        (tensor([[1, 2]], [1, 2], "BYTES"), "expected datatype FP64 or FP32"),
        (tensor(3, [1, 2]), "expected data as an array"),
        (tensor([], [-1, 2]), "expected -2 values"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(body, message):
    answer = ask(numeric(), "/v2/models/census/infer", body)
    assert answer.status == 422
    assert message in answer.json["error"]


def test_a_request_may_repeat_the_name_of_its_model():
    app, path = server(served()), "/v2/models/census/infer"
    for name, status in (("census", 200), ("other", 422), (None, 200)):
        body = json.loads(INFER) | {"model_name": name}
        assert ask(app, path, body).status == status


def test_what_a_client_does_not_use_may_be_null():
    app, path = server(served()), "/v2/models/census/infer"
    nothing = {"id": None, "parameters": None, "outputs": None}
    assert ask(app, path, json.loads(INFER) | nothing).status == 200
    refused = ask(app, path, json.loads(INFER) | {"parameters": []})
    assert "column 'parameters': expected an object" in refused.json["error"]


def test_a_matrix_for_a_model_with_other_columns_is_no_column():
    body = tensor([[1, 2, 3, 4, 5]], [1, 5])
    answer = ask(server(served()), "/v2/models/census/infer", body)
    assert answer.status == 422


@pytest.mark.parametrize(
    "datatype, value, fits",
    [
        *(("INT8", -128, True), ("INT8", 128, False), ("INT16", 2**15, False)),
        *(("INT32", 2**31 - 1, True), ("INT32", 2**31, False)),
        *(("UINT8", 255, True), ("UINT8", 256, False), ("UINT8", -1, False)),
        *(("UINT64", 2**64, False), ("INT64", 2**53 + 1, True)),
        *(("INT64", 1.5, False), ("INT64", 2.0, True), ("INT64", True, False)),
        *(("FP16", 65504, True), ("FP16", 65505, False)),
        *(("FP32", 3e38, True), ("FP32", -4e38, False), ("FP64", 1e308, True)),
        *(("FP64", "1", False), ("FP32", None, True), ("INT8", None, True)),
    ],
)
def test_a_value_is_in_the_range_of_its_datatype(datatype, value, fits):
    inputs = [
        {"name": "age", "shape": [1], "datatype": datatype, "data": [value]},
        {"name": "hours", "shape": [1], "datatype": "INT64", "data": [1]},
    ]
    answer = ask(numeric(Half), "/v2/models/census/infer", {"inputs": inputs})
    assert (answer.status == 200) is fits, answer.body
    if not fits:
        assert datatype in answer.json["error"]
        assert answer.json["errors"][0]["column"] == "age"


@pytest.mark.parametrize("value", [np.finfo(np.float16), np.finfo(np.float32)])
def test_the_largest_number_of_a_datatype_is_that_of_numpy(value):
    name = f"FP{value.bits}"
    largest = tensor([[float(value.max), 1]], [1, 2], name)
    assert ask(numeric(Half), "/v2/models/census/infer", largest).status == 200
    above = float(np.nextafter(np.float64(value.max), np.inf))
    beyond = tensor([[above, 1]], [1, 2], name)
    assert ask(numeric(Half), "/v2/models/census/infer", beyond).status == 422


@pytest.mark.parametrize(
    "path, body, more",
    [
        ("/v2/models/census/infer", b"{", {}),
        ("/v2/models/none", None, {}),
        ("/v2/models/census/infer", None, {}),
        ("/v2/models/census/infer", b"{}", {"headers": {"content-type": "text/csv"}}),
        ("/v2/nothing", None, {}),
    ],
)
def test_every_refusal_has_the_error_that_clients_read(path, body, more):
    answer = ask(server(served()), path, body, **more)
    assert answer.status >= 400
    assert answer.json["error"] == answer.json["detail"]


def test_a_body_without_a_content_type_is_json():
    headers = {"content-type": ""}
    path = "/v2/models/census/infer"
    answer = ask(server(served()), path, json.loads(INFER), headers=headers)
    assert answer.status == 200


def test_a_caller_sees_the_versions_of_its_models_only():
    both = ServedState(
        {name: served(name) for name in "ab"}, frozenset(), True, server().metrics
    )
    paths = both.limited(lambda name: name == "a").routes
    assert "/v2/models/a/versions/v1" in paths
    assert "/v2/models/b/versions/v1" not in paths
