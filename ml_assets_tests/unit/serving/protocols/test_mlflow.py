"""What MLflow's clients send and read beside the forms of a DataFrame."""

import pytest

import ml_assets
from ml_assets.records.plan import Column, Signature
from ml_assets_tests.kits.app import ROW, FakeRuntime, ask, served, server

CSV = {"content-type": "text/csv"}
HEADER = b"age,hours-per-week,married,sex,note\n"


def sent(body, app=None, **more):
    return ask(app or server(served()), "/invocations", body, **more)


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_rows_may_be_arrays_where_all_columns_are_numbers(form):
    columns = (Column(name="age", kind="number"), Column(name="n", kind="integer"))
    signature = Signature(columns=columns, target="t", negative="n", positive="y")
    app = server(served(runtime=FakeRuntime(signature=signature)))
    answer = sent({form: [[41, 1], [60.5, 2]]}, app)
    assert answer.json["probabilities"] == [0.41, 0.605]


def test_parameters_are_taken_and_named():
    answer = sent({"inputs": [ROW], "params": {"temperature": 1, "n\u202e": []}})
    assert answer.json["predictions"] == ["<=50K"]
    assert answer.json["warnings"] == [
        {"type": "unknown-parameter", "name": "temperature"},
        {"type": "unknown-parameter", "name": "n\\u202e"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        HEADER + b"41,40,True,Male,x\n",
        b"\xef\xbb\xbfnote,sex,age,married,hours-per-week\r\nx,Male,41.0,true,40\r\n",
        HEADER + b'41,40.0,TRUE,"Male","a ""quoted"", text\nof two lines"',
    ],
)
def test_rows_may_be_csv(body):
    for content_type in ("text/csv", "text/csv; charset=utf-8"):
        answer = sent(body, headers={"content-type": content_type})
        assert answer.status == 200, answer.body
        assert answer.json["probabilities"] == [0.41]


def test_an_empty_cell_is_a_missing_value():
    answer = sent(HEADER + b",40,True,Male,\n", headers=CSV)
    assert answer.json["probabilities"] == [0]


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"", 400, "the body is empty"),
        (HEADER, 422, "at least one row"),
        (b"age\n\xff", 400, "is not UTF-8 at byte 4"),
        (HEADER + b'41,40,True,"Ma"le,x', 400, "the body is no CSV"),
        (HEADER + b"41,40,True,Male", 422, "row 0: expected 5 cells"),
        (b"age,age\n1,2", 422, "the column 'age' stands twice"),
        (HEADER + b"old,40,True,Male,x", 422, "column 'age': expected a number or nu"),
        (HEADER + b"41,1.5,True,Male,x", 422, "column 'hours-per-week': expected an"),
        (HEADER + b"41,40,yes,Male,x", 422, "column 'married': expected true or fal"),
        (HEADER + b"41,,True,Male,x", 422, "found null"),
        (HEADER + b"nan,40,True,Male,x", 422, "found a number that is not finite"),
        (HEADER + "٤,40,True,Male,x".encode(), 200, ""),
        (HEADER + b"1\n" * 101, 413, "expected at most 100 rows"),
        (b"other\n1", 422, "column 'age'"),
    ],
)
def test_csv_that_does_not_fit_is_refused(body, status, message):
    answer = sent(body, headers=CSV)
    assert answer.status == status, answer.body
    assert status == 200 or message in answer.json["message"]


def test_csv_is_for_this_address_only():
    answer = ask(server(served()), "/models/census/predict", HEADER, headers=CSV)
    assert answer.status == 415
    refused = sent(b"x", headers={"content-type": "text/plain"})
    assert (
        "expected content-type application/json or text/csv" in refused.json["detail"]
    )


@pytest.mark.parametrize(
    "body, more, status, code",
    [
        (b"{", {}, 400, "BAD_REQUEST"),
        ({"inputs": [ROW]}, {"query": "model=x"}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_a_refusal_has_the_code_and_message_of_mlflow(body, more, status, code):
    answer = sent(body, **more)
    assert (answer.status, answer.json["error_code"]) == (status, code)
    assert answer.json["message"] == answer.json["detail"]


def test_a_server_without_a_plan_is_not_healthy():
    for path in ("/ping", "/health"):
        assert ask(server(served()), path).status == 200
        assert ask(server(), path).status == 503
        assert ask(server(served(), missing=["late"]), path).status == 503


def test_the_version_is_text():
    answer = ask(server(), "/version")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.decode() == ml_assets.__version__
