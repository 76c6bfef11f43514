"""Routes, protocols and refusals of the application, without a socket."""

import asyncio
import json
import logging
import threading
import uuid

import numpy as np
import pytest

from ml_assets.serving.runtime import Refused
from ml_assets_tests.kits.app import (
    ROW,
    SIGNATURE,
    FakeRuntime,
    ask,
    call,
    served,
    server,
)

PREDICT = "/models/census/predict"
ONE = {"rows": [ROW]}


def tensors(**changes):
    datatypes = {
        "age": "FP64",
        "hours-per-week": "INT64",
        "married": "BOOL",
        "sex": "BYTES",
        "note": "BYTES",
    }
    return [
        {"name": k, "shape": [1], "datatype": datatypes[k], "data": [v]}
        | changes.get(k, {})
        for k, v in ROW.items()
    ]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("sent", [None, "mine"])
def test_a_request_without_an_id_has_that_of_its_first_prediction(rows, sent):
    headers = {"x-request-id": sent} if sent else {}
    answer = ask(server(served()), PREDICT, {"rows": [ROW] * rows}, headers=headers)
    ids = [item["id"] for item in answer.json["predictions"]]
    assert len({*ids}) == rows and ids == sorted(ids)
    assert answer.headers["x-request-id"] == (sent or ids[0])


def test_an_answer_names_model_version_arm_and_a_prediction_id_per_row():
    answer = ask(server(served()), PREDICT, {"rows": [ROW, {**ROW, "age": 60}]})
    assert answer.status == 200
    body = answer.json
    assert (body["model"], body["version"], body["arm"]) == ("census", "v1", "live")
    first, second = body["predictions"]
    assert (first["probability"], first["label"]) == (0.41, "<=50K")
    assert (second["probability"], second["label"]) == (0.6, ">50K")
    ids = [uuid.UUID(item["id"]) for item in (first, second)]
    assert ids[0] < ids[1] and {item.version for item in ids} == {7}
    assert {item.variant for item in ids} == {uuid.RFC_4122}


@pytest.mark.parametrize("age, label", [(50, "<=50K"), (50.0001, ">50K")])
def test_exactly_one_half_is_negative_as_in_scikit_learn(age, label):
    answer = ask(server(served()), PREDICT, {"rows": [{**ROW, "age": age}]})
    assert answer.json["predictions"][0]["label"] == label


@pytest.mark.parametrize("kind", ["compiled", "sklearn"])
def test_both_kinds_of_runtime_answer_the_same(kind):
    app = server(served(runtime=FakeRuntime(kind)))
    answer = ask(app, PREDICT, {"rows": [ROW] * 3})
    assert [item["probability"] for item in answer.json["predictions"]] == [0.41] * 3


@pytest.mark.parametrize(
    "sent, echoed",
    [("abc-1.2:3", True), ("", False), ("a b", False), ("x" * 129, False)],
)
def test_a_sane_request_id_is_echoed_and_another_is_replaced(sent, echoed):
    answer = ask(server(served()), PREDICT, ONE, headers={"x-request-id": sent})
    found = answer.headers["x-request-id"]
    assert (found == sent) is echoed
    assert answer.json["request_id"] == found


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [ROW]},
        {"inputs": [ROW]},
        {"instances": [ROW]},
        {"inputs": [ROW], "params": None},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
        {
            "dataframe_split": {
                "columns": list(ROW)[::-1],
                "data": [list(ROW.values())[::-1]],
                "index": [7],
            }
        },
    ],
)
def test_every_form_of_mlflow_is_understood(body):
    answer = ask(server(served()), "/invocations", body)
    assert answer.status == 200
    assert answer.json["predictions"] == ["<=50K"]
    assert answer.json["probabilities"] == [0.41]
    assert answer.json["version"] == "v1"


@pytest.mark.parametrize(
    "body, message",
    [
        ({}, "expected one of the keys dataframe_split"),
        ({"inputs": [ROW], "dataframe_records": [ROW]}, "found 2"),
        ({"rows": [ROW]}, "found 'rows'"),
        ({"inputs": [ROW], "params": 3}, "column 'params': expected an object"),
        ({"instances": [[1, 2]]}, "column 'married' is no number"),
        ({"dataframe_split": {"columns": ["age"], "data": [[1]]}}, "'hours-per-week'"),
        ({"dataframe_split": {"columns": ["age", "age"], "data": []}}, "stands twice"),
        ({"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}, "an array of 2"),
        ({"dataframe_split": {"columns": [1], "data": []}}, "an array of names"),
        ({"dataframe_split": {"columns": ["age"], "data": 1}}, "an array of rows"),
        ({"dataframe_split": {"columns": ["age"], "data": [], "index": {}}}, "'index'"),
        ({"dataframe_records": {}}, "expected an array of rows"),
        ({"inputs": 3}, "expected an object"),
        ({"inputs": {"x": 1}}, "found 'x'"),
    ],
)
def test_a_wrong_mlflow_request_is_refused(body, message):
    answer = ask(server(served()), "/invocations", body)
    assert answer.status == 422
    assert message in answer.json["detail"]


def test_invocations_must_name_one_of_several_models():
    app = server(served("census"), served("churn", version="v9"))
    body = {"inputs": [ROW]}
    refused = ask(app, "/invocations", body)
    assert refused.status == 400
    assert "census, churn" in refused.json["detail"]
    by_query = ask(app, "/invocations", body, query="model=churn")
    by_header = ask(app, "/invocations", body, headers={"x-model": "churn"})
    assert by_query.json["version"] == by_header.json["version"] == "v9"
    assert ask(app, "/invocations", body, query="model=other").status == 404


def test_the_open_inference_protocol_answers_tensors():
    app = server(served())
    answer = ask(app, "/v2/models/census/infer", {"id": "7", "inputs": tensors()})
    assert answer.status == 200
    body = answer.json
    assert (body["model_name"], body["model_version"], body["id"]) == (
        "census",
        "v1",
        "7",
    )
    outputs = {item["name"]: item for item in body["outputs"]}
    assert outputs["probability"] == {
        "name": "probability",
        "datatype": "FP64",
        "shape": [1],
        "data": [0.41],
    }
    assert outputs["label"]["data"] == ["<=50K"]
    assert outputs["prediction_id"]["datatype"] == "BYTES"


def test_nested_tensors_and_chosen_outputs_are_understood():
    body = {
        "inputs": tensors(age={"shape": [1, 1], "data": [[41]]}),
        "outputs": [{"name": "label"}],
    }
    answer = ask(server(served()), "/v2/models/census/infer", body)
    assert [item["name"] for item in answer.json["outputs"]] == ["label"]


@pytest.mark.parametrize(
    "body, message",
    [
        ({}, "column 'inputs': expected an array"),
        (
            {"inputs": tensors()[1:]},
            "column 'age': expected a number or null, found no",
        ),
        ({"inputs": [*tensors(), tensors()[0]]}, "input 'age' stands twice"),
        (
            {"inputs": tensors(age={"datatype": "BYTES"})},
            "expected datatype FP64 or FP",
        ),
        ({"inputs": tensors(age={"shape": [2]})}, "expected shape [1] or [1, 1]"),
        ({"inputs": tensors(age={"shape": [True]})}, "expected shape [1] or [1, 1]"),
        ({"inputs": tensors(age={"data": 3})}, "expected data as an array"),
        ({"inputs": tensors(age={"name": "x"})}, "column 'x': expected no such column"),
        ({"inputs": tensors(age={"name": 3})}, "expected a string"),
        ({"inputs": tensors(), "id": 3}, "column 'id': expected a string"),
        ({"inputs": tensors(), "outputs": 1}, "column 'outputs': expected an array"),
        ({"inputs": tensors(), "outputs": [{"name": "x"}]}, "expected one of the outp"),
        ({"inputs": [3]}, "expected an object"),
    ],
)
def test_a_wrong_inference_request_is_refused(body, message):
    answer = ask(server(served()), "/v2/models/census/infer", body)
    assert answer.status == 422
    details = [answer.json["detail"], *_texts(answer.json)]
    assert any(message in text for text in details)


def _texts(problem):
    return [
        f"column {item.get('column')!r}: expected {item['expected']}"
        for item in problem.get("errors", [])
    ]


@pytest.mark.parametrize(
    "path, key",
    [
        ("/models", "models"),
        ("/models/census", "columns"),
        ("/v2", "extensions"),
        ("/v2/health/live", "live"),
        ("/v2/health/ready", "ready"),
        ("/v2/models/census", "inputs"),
        ("/v2/models/census/ready", "ready"),
        ("/openapi.json", "paths"),
    ],
)
def test_what_can_be_read_is_json(path, key):
    answer = ask(server(served()), path)
    assert answer.status == 200
    assert key in answer.json


def test_the_page_for_people_is_whole_in_itself():
    answer = ask(server(served()), "/docs")
    text = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert "hours-per-week" in text and "&gt;50K" in text
    assert "src=" not in text and "http://" not in text and "https://" not in text


@pytest.mark.parametrize(
    "path, body, more, status, message",
    [
        (PREDICT, None, {}, 405, "expected POST"),
        ("/models", ONE, {}, 405, "expected GET, HEAD"),
        ("/nothing", None, {}, 404, "/docs lists"),
        ("/models/census/other", ONE, {}, 404, "/docs lists"),
        ("/models/x/predict", ONE, {}, 404, "the models here are census"),
        ("/v2/models/x/infer", ONE, {}, 404, "the models here are census"),
        ("/models/late/predict", ONE, {}, 503, "model late has no version loaded"),
        (PREDICT, b"x=1", {"headers": {"content-type": "text/csv"}}, 415, "'text/csv'"),
        (PREDICT, ONE, {"headers": {"content-type": ""}}, 415, "found none"),
        (PREDICT, b"a" * 100_001, {}, 413, "at most 100000 bytes"),
        (PREDICT, ONE, {"headers": {"content-length": "100001"}}, 413, "at most"),
        (PREDICT, b"{", {}, 400, "Expecting property name"),
    ],
)
def test_a_refusal_is_a_problem_that_names_what_was_expected(
    path, body, more, status, message
):
    answer = ask(server(served(), missing=["late"]), path, body, **more)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert message in answer.json["detail"]


def test_a_wrong_method_gets_the_right_one():
    assert ask(server(served()), PREDICT, method="PUT").headers["allow"] == "POST"


def test_content_type_may_carry_a_charset():
    headers = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert ask(server(served()), PREDICT, ONE, headers=headers).status == 200


def test_a_server_without_plans_lives_and_is_not_ready():
    app = server()
    assert ask(app, "/v2/health/live").status == 200
    assert ask(app, "/v2/health/ready").status == 503
    answer = ask(app, PREDICT, ONE)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"


def test_an_oversized_body_is_refused_while_it_streams():
    async def run():
        seen = 0

        def parts():
            nonlocal seen
            while True:
                seen += 1
                yield b"a" * 40_000

        class Endless(list):
            source = parts()

            def pop(self, _=0):
                return next(self.source)

            def __bool__(self):
                return True

        app = server(served())
        answer = await call(app, PREDICT, method="POST", chunks=Endless([b""]))
        return answer.status, seen

    status, seen = asyncio.run(run())
    assert status == 413
    assert seen == 3


def test_a_body_in_pieces_is_put_together():
    text = json.dumps(ONE).encode()
    answer = ask(server(served()), PREDICT, chunks=[text[:10], text[10:]])
    assert answer.status == 200


class Stuck(FakeRuntime):
    """Waits until it is let go."""

    def __init__(self):
        super().__init__("sklearn")
        self.entered = threading.Event()
        self.go = threading.Event()

    def predict_one(self, values):
        self.entered.set()
        self.go.wait(10)
        return 0.25


def test_slow_answers_wait_in_a_bounded_line_and_the_rest_get_503():
    runtime = Stuck()
    app = server(served(runtime=runtime), max_queue=3)

    async def run():
        tasks = [asyncio.create_task(call(app, PREDICT, ONE)) for _ in range(10)]
        await asyncio.to_thread(runtime.entered.wait, 10)
        refused = [task for task in tasks if task.done()]
        alive = await call(app, "/v2/health/live")
        runtime.go.set()
        return await asyncio.gather(*tasks), len(refused), alive

    answers, refused, alive = asyncio.run(run())
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 3 + [503] * 7
    assert refused == 7
    assert alive.status == 200
    overloaded = next(answer for answer in answers if answer.status == 503)
    assert overloaded.headers["retry-after"] == "1"


def test_more_requests_in_flight_than_allowed_get_503():
    runtime = Stuck()
    app = server(served(runtime=runtime), max_in_flight=2)

    async def run():
        tasks = [asyncio.create_task(call(app, PREDICT, ONE)) for _ in range(5)]
        await asyncio.to_thread(runtime.entered.wait, 10)
        runtime.go.set()
        return await asyncio.gather(*tasks)

    statuses = sorted(answer.status for answer in asyncio.run(run()))
    assert statuses == [200] * 2 + [503] * 3
    assert app.metrics.in_flight == 0


class Broken(FakeRuntime):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def predict_one(self, values):
        raise self.error

    def predict_many(self, columns):
        return np.array([np.nan] * len(columns[0]))


def test_a_failing_runtime_gives_500_and_no_value_in_answer_or_log(caplog):
    logging.getLogger("ml_assets.serving").propagate = True
    app = server(served(runtime=Broken(RuntimeError("SECRET"))))
    answer = ask(app, PREDICT, ONE)
    assert answer.status == 500
    assert b"SECRET" not in answer.body and b"Traceback" not in answer.body
    from ml_assets.core.logs import EcsFormatter

    line = json.loads(EcsFormatter("test").format(caplog.records[-1]))
    assert line["error.type"] == "RuntimeError"
    assert "SECRET" not in json.dumps(line)


def test_a_probability_that_is_none_gives_500_and_not_broken_json():
    app = server(served(runtime=Broken(None)))
    assert ask(app, PREDICT, {"rows": [ROW, ROW]}).status == 500


def test_a_row_beyond_the_estimators_range_gives_422_without_the_value():
    app = server(served(runtime=Broken(Refused("SECRET is too large"))))
    answer = ask(app, PREDICT, ONE)
    assert answer.status == 422
    assert b"SECRET" not in answer.body


def test_metrics_count_answers_and_never_take_labels_from_callers():
    from prometheus_client import CollectorRegistry, generate_latest

    app = server(served())
    ask(app, PREDICT, {"rows": [ROW, ROW]})
    ask(app, PREDICT, {"rows": []})
    ask(app, "/models/evil/predict", ONE)
    registry = CollectorRegistry()
    registry.register(app.metrics)
    text = generate_latest(registry).decode()
    labels = 'arm="live",model="census",route="predict"'
    assert f'ml_assets_requests_total{{{labels},status="200",version="v1"}} 1' in text
    assert f'ml_assets_requests_total{{{labels},status="422",version="v1"}} 1' in text
    assert f'ml_assets_rows_total{{{labels},version="v1"}} 2' in text
    assert (
        f'ml_assets_request_duration_seconds_count{{{labels},version="v1"}} 2' in text
    )
    assert "evil" not in text


def test_a_draining_server_asks_clients_to_go():
    app = server(served())
    app.is_draining = True
    assert ask(app, PREDICT, ONE).headers["connection"] == "close"


def test_labels_may_be_numbers():
    import msgspec

    signature = msgspec.structs.replace(SIGNATURE, negative=0, positive=1)
    app = server(served(runtime=FakeRuntime(signature=signature)))
    assert ask(app, PREDICT, ONE).json["predictions"][0]["label"] == 0
    outputs = ask(app, "/v2/models/census/infer", {"inputs": tensors()}).json["outputs"]
    assert outputs[1] == {
        "name": "label",
        "datatype": "INT64",
        "shape": [1],
        "data": [0],
    }
