"""Arms: who answers whom, what a shadow may do, and what is kept of it."""

import json
import threading

import msgspec
import numpy as np
import pytest

from ml_assets.records.plan import Arm, Column, ServingPlan, Signature, ignored
from ml_assets.serving.log.prediction_log import PredictionLog
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.app import ROW, SIGNATURE, FakeRuntime, ask, server
from ml_assets_tests.kits.prediction_log import logged

PREDICT = "/models/census/predict"


class Other(FakeRuntime):
    """Answers 0.9, or fails."""

    def __init__(self, error=None, signature=SIGNATURE, wait=None):
        super().__init__("compiled", signature)
        self.error = error
        self.wait = wait
        self.seen = []

    def predict_one(self, values):
        return float(self.predict_many([[value] for value in values])[0])

    def predict_many(self, columns):
        if self.wait is not None:
            self.wait.wait(30)
        if self.error is not None:
            raise self.error
        self.seen.append([list(column) for column in columns])
        return np.full(len(columns[0]), 0.9)


class Kit:
    """A server of two arms, its log and its metrics."""

    def __init__(self, tmp_path, mode, runtime, share=0.5, sample=1.0, max_rows=1000):
        arms = (
            Arm(version="a", bundle="b", files={}, runtime="compiled"),
            Arm(
                version="b", bundle="b", files={}, runtime="compiled", mode=mode,
                share=share,
            ),
        )  # fmt: skip
        plan = ServingPlan(
            model="census", generation=7, arms=arms, created_at="", reason="test",
            salt="s", log_sample=sample, experiment="b",
        )  # fmt: skip
        ids = PredictionIds()
        loaded = [
            ServedArm("census", arm, item, 100, ids)
            for arm, item in zip(arms, (FakeRuntime(), runtime), strict=True)
        ]
        self.metrics = Metrics()
        log = PredictionLog("census", tmp_path, ServerSettings(), self.metrics)
        self.shadows = ShadowQueue(self.metrics, max_rows)
        self.shadows.start()
        self.model = ServedModel(plan, loaded, Recorder(log), self.shadows)
        self.app = server(self.model)
        self.directory = tmp_path

    def ask(self, body, path=PREDICT, **more):
        return ask(self.app, path, body, **more)

    def records(self):
        self.shadows.close()
        return logged(self.directory.glob("*.open"))


def entities(count):
    return [f"e{index}" for index in range(count)]


@pytest.mark.parametrize("rows", [1, 2])
def test_an_arm_gets_what_the_live_one_does_not_know_as_missing(tmp_path, rows):
    age, hours, married, sex, note = SIGNATURE.columns
    as_text = Column(name="married", kind="string", categories=("False", "True"))
    more = Column(name="visits", kind="number", nullable=True, optional=True)
    columns = (more, sex, as_text, ignored("note", "string"), age, hours)
    signature = msgspec.structs.replace(SIGNATURE, columns=columns)
    challenger = Other(signature=signature)
    kit = Kit(tmp_path, "split", challenger, share=1.0)
    assert kit.ask({"rows": [ROW] * rows}).status == 200
    (seen,) = challenger.seen
    assert [column[0] for column in seen] == [None, "Male", "True", "x", 41.0, 40]
    assert {len(column) for column in seen} == {rows}


def test_what_a_shadow_got_as_missing_is_so_in_its_log(tmp_path):
    more = Column(name="visits", kind="number", nullable=True, optional=True)
    columns = (more, *SIGNATURE.columns)
    signature = msgspec.structs.replace(SIGNATURE, columns=columns)
    kit = Kit(tmp_path, "shadow", Other(signature=signature))
    # Rows that are logged as they were sent.
    assert kit.ask(json.dumps({"rows": [ROW, ROW]}).encode()).status == 200
    found = {line["arm"]: line["x"] for line in kit.records()}
    assert found["shadow"] == [None, *found["live"]]


def test_a_line_holds_the_answer_and_its_input(tmp_path):
    kit = Kit(tmp_path, "shadow", Other())
    answer = kit.ask({"rows": [ROW]}, headers={"x-entity": "p1", "x-request-id": "r"})
    live, shadow = kit.records()
    prediction = answer.json["predictions"][0]
    assert live.pop("us") > 0 and live.pop("time") > 1.7e9
    assert live == {
        "id": prediction["id"], "request": "r", "model": "census", "version": "a",
        "arm": "live", "generation": 7, "entity": "p1",
        "x": [41.0, 40, True, "Male", "x"], "p": 0.41, "label": "<=50K",
        "error": None, "probabilities": None, "value": None, "caller": None,
    }  # fmt: skip
    assert (shadow["id"], shadow["arm"], shadow["version"]) == (
        prediction["id"],
        "shadow",
        "b",
    )
    assert (shadow["p"], shadow["label"], shadow["x"]) == (0.9, ">50K", live["x"])


@pytest.mark.parametrize(
    "path, body",
    [
        (PREDICT, {"rows": [ROW, ROW]}),
        (PREDICT, {"columns": {name: [v, v] for name, v in ROW.items()}}),
        ("/invocations", {"inputs": [ROW, ROW]}),
    ],
)
def test_every_protocol_and_form_is_logged_alike(tmp_path, path, body):
    kit = Kit(tmp_path, "split", Other(), share=0.0)
    kit.ask(body, path)
    lines = kit.records()
    assert [line["x"] for line in lines] == [[41.0, 40, True, "Male", "x"]] * 2
    assert [line["p"] for line in lines] == [0.41] * 2
    assert len({line["id"] for line in lines}) == 2


@pytest.mark.parametrize("spaces", [None, 1])
def test_rows_are_logged_however_they_were_written(tmp_path, spaces):
    kit = Kit(tmp_path, "shadow", Other())
    texts = ["]", '[{"', "\n", "é€"]
    rows = [dict(reversed(ROW.items())) | {"note": text} for text in texts]
    kit.ask(json.dumps({"rows": rows}, indent=spaces).encode())
    lines = kit.records()
    expected = [[41.0, 40, True, "Male", text] for text in texts]
    assert [line["x"] for line in lines if line["arm"] == "live"] == expected
    assert [line["x"] for line in lines if line["arm"] == "shadow"] == expected


def test_rows_go_to_the_arms_of_their_entities_and_keep_their_order(tmp_path):
    kit = Kit(tmp_path, "split", Other())
    rows = [{**ROW, "age": index} for index in range(60)]
    body = {"rows": rows, "entities": entities(60)}
    answer = kit.ask(body).json
    assert answer["version"] is None and answer["arm"] is None
    for index, prediction in enumerate(answer["predictions"]):
        expected = index / 100 if prediction["version"] == "a" else 0.9
        assert prediction["probability"] == expected
        assert prediction["arm"] == {"a": "live", "b": "split"}[prediction["version"]]
    versions = [prediction["version"] for prediction in answer["predictions"]]
    assert 15 < versions.count("b") < 45
    again = kit.ask(body).json["predictions"]
    assert [prediction["version"] for prediction in again] == versions
    lines = {line["id"]: line for line in kit.records()}
    kept = [
        lines.pop(prediction["id"]) for prediction in (*answer["predictions"], *again)
    ]
    assert not lines
    assert [line["version"] for line in kept] == versions * 2
    assert [line["entity"] for line in kept] == entities(60) * 2
    assert [line["x"][0] for line in kept] == [*range(60)] * 2
    prediction = [item["probability"] for item in answer["predictions"]] * 2
    assert [line["p"] for line in kept] == prediction
    labels = [item["label"] for item in answer["predictions"]] * 2
    assert [line["label"] for line in kept] == labels
    for name, version in zip(entities(10), versions, strict=False):
        alone = kit.ask({"rows": [ROW]}, headers={"x-entity": name}).json
        assert alone["version"] == alone["predictions"][0]["version"] == version


def test_each_arm_decides_by_its_own_threshold(tmp_path):
    kit = Kit(tmp_path, "split", Other(signature=strict(0.95)))
    rows = [{**ROW, "age": index} for index in range(60)]
    body = {"rows": rows, "entities": entities(60)}
    predictions = kit.ask(body).json["predictions"]
    assert {item["version"] for item in predictions} == {"a", "b"}
    # The first arm needs one half; the second answers 0.9, which is not enough for it.
    expected = {
        item["id"]: item["version"] == "a" and item["probability"] > 0.5
        for item in predictions
    }
    positive = SIGNATURE.positive
    assert expected == {item["id"]: item["label"] == positive for item in predictions}
    answer = kit.ask({"inputs": rows}, "/invocations").json
    pairs = {*zip(answer["versions"], answer["predictions"], strict=True)}
    assert {label for version, label in pairs if version == "b"} == {SIGNATURE.negative}
    assert ("a", positive) in pairs


def strict(threshold):
    return msgspec.structs.replace(SIGNATURE, threshold=threshold)


def test_a_request_may_name_the_version_that_answers_it(tmp_path):
    kit = Kit(tmp_path, "split", Other())
    inputs = [
        {"name": name, "shape": [4], "datatype": kind, "data": [ROW[name]] * 4}
        for name, kind in zip(ROW, ("FP64", "INT64", "BOOL", "BYTES", "BYTES"))
    ]
    for version, probability in (("a", 0.41), ("b", 0.9)):
        path = f"/v2/models/census/versions/{version}/infer"
        answer = kit.ask({"inputs": inputs}, path).json
        assert answer["model_version"] == version
        assert answer["outputs"][0]["data"] == [probability] * 4
        assert kit.ask(None, path.removesuffix("/infer")).json["versions"] == [version]
    assert kit.ask(None, "/v2/models/census").json["versions"] == ["a", "b"]
    # No experiment counts what chance did not assign.
    assert kit.records() == []


def test_a_shadow_is_no_version_that_answers(tmp_path):
    kit = Kit(tmp_path, "shadow", Other())
    assert kit.ask(None, "/v2/models/census").json["versions"] == ["a"]
    assert kit.ask(None, "/v2/models/census/versions/b/ready").status == 404


def test_without_an_entity_the_prediction_id_decides(tmp_path):
    kit = Kit(tmp_path, "split", Other())
    found = [kit.ask({"rows": [ROW]}).json["version"] for _ in range(200)]
    assert 60 < found.count("b") < 140


def test_the_other_protocols_name_the_arm_of_each_row(tmp_path):
    kit = Kit(tmp_path, "split", Other())
    answer = kit.ask({"inputs": [ROW] * 60}, "/invocations").json
    assert answer["version"] is None and {*answer["versions"]} == {"a", "b"}
    assert {*answer["arms"]} == {"live", "split"}
    kinds = {"age": "FP64", "hours-per-week": "INT64", "married": "BOOL"}
    tensors = [
        {"name": k, "shape": [60], "datatype": kinds.get(k, "BYTES"), "data": [v] * 60}
        for k, v in ROW.items()
    ]
    infer = "/v2/models/census/infer"
    answer = kit.ask({"inputs": tensors}, infer, headers={"x-entity": "e1"}).json
    outputs = {item["name"]: item["data"] for item in answer["outputs"]}
    assert {*outputs["version"]} == {answer["model_version"]}


def test_rows_are_counted_for_the_arm_that_answered(tmp_path):
    kit = Kit(tmp_path, "split", Other())
    kit.app.metrics.series("predict", "census", "b", "split").rows = 0
    body = {"rows": [ROW] * 60, "entities": entities(60)}
    versions = [item["version"] for item in kit.ask(body).json["predictions"]]
    for version, arm in (("a", "live"), ("b", "split")):
        series = kit.app.metrics.series("predict", "census", version, arm)
        assert (series.rows, series.statuses) == (versions.count(version), {200: 1})


@pytest.mark.parametrize(
    "body, headers, message",
    [
        ({"entities": ["a", "b"]}, {}, "expected 1 values, one for each row, found 2"),
        ({"entities": "a"}, {}, "expected an array of strings, found a string"),
        ({"entities": [""]}, {}, "a string of 1 to 256 characters or null, found anot"),
        ({"entities": [3]}, {}, "found a number"),
        ({"entities": ["x" * 257]}, {}, "found another string"),
        ({"entities": ["a"]}, {"x-entity": "a"}, "found both"),
        ({}, {"x-entity": "a b"}, "printable ASCII"),
        ({}, {"x-entity": ""}, "printable ASCII"),
    ],
)
def test_entities_that_do_not_fit_are_refused(tmp_path, body, headers, message):
    kit = Kit(tmp_path, "split", Other())
    answer = kit.ask({"rows": [ROW], **body}, headers=headers)
    assert answer.status == 422 and message in answer.json["detail"]
    assert kit.records() == []


@pytest.mark.parametrize("entity", ["a:b", None, 'quo"te', "ä€"])
def test_any_text_may_name_an_entity(tmp_path, entity):
    kit = Kit(tmp_path, "split", Other())
    assert kit.ask({"rows": [ROW] * 2, "entities": [entity] * 2}).status == 200
    assert [line["entity"] for line in kit.records()] == [entity] * 2


def test_a_shadow_that_fails_changes_no_answer_and_is_logged(tmp_path, caplog):
    kit = Kit(tmp_path, "shadow", Other(KeyError("SECRET")))
    for _ in range(3):
        answer = kit.ask({"rows": [ROW] * 2})
        assert [item["probability"] for item in answer.json["predictions"]] == [
            0.41
        ] * 2
    lines = kit.records()
    shadows = [line for line in lines if line["arm"] == "shadow"]
    assert len(shadows) == 6 and len(lines) == 12
    assert all(line["p"] is None and line["label"] is None for line in shadows)
    assert {line["error"] for line in shadows} == {"KeyError"}
    assert "SECRET" not in json.dumps(lines)
    series = kit.metrics.series("shadow", "census", "b", "shadow")
    assert series.statuses == {500: 3}


def test_a_shadow_that_hangs_holds_nobody_and_its_backlog_is_bounded(tmp_path):
    gate = threading.Event()
    kit = Kit(tmp_path, "shadow", Other(wait=gate), max_rows=10)
    for _ in range(50):
        assert kit.ask({"rows": [ROW]}).status == 200
    dropped = kit.metrics.shadow_dropped["census"]
    assert dropped in (39, 40)
    gate.set()
    lines = kit.records()
    assert sum(line["arm"] == "live" for line in lines) == 50
    assert sum(line["arm"] == "shadow" for line in lines) == 50 - dropped


def test_a_split_arm_that_fails_gives_500_and_is_logged(tmp_path):
    kit = Kit(tmp_path, "split", Other(KeyError("x")), share=1.0)
    assert kit.ask({"rows": [ROW]}).status == 500
    (line,) = kit.records()
    assert (line["arm"], line["version"], line["error"]) == ("split", "b", "KeyError")
    series = kit.app.metrics.series("predict", "census", "b", "split")
    assert series.statuses == {500: 1}


def test_only_the_sampled_share_is_logged_and_shadowed(tmp_path):
    kit = Kit(tmp_path, "shadow", Other(), sample=0.5)
    for _ in range(200):
        kit.ask({"rows": [ROW] * 2})
    lines = kit.records()
    logged = {line["request"] for line in lines}
    assert 60 < len(logged) < 140
    assert len(lines) == 4 * len(logged)


def test_an_arm_with_its_columns_in_another_order_gets_them_so(tmp_path):
    columns = SIGNATURE.columns[::-1][:3]
    runtime = Other(signature=msgspec.structs.replace(SIGNATURE, columns=columns))
    kit = Kit(tmp_path, "shadow", runtime)
    kit.ask({"rows": [ROW]})
    kit.ask({"rows": [ROW] * 2})
    lines = kit.records()
    assert runtime.seen == [
        [["x"], ["Male"], [True]],
        [["x"] * 2, ["Male"] * 2, [True] * 2],
    ]
    shadows = [line["x"] for line in lines if line["arm"] == "shadow"]
    assert shadows == [["x", "Male", True]] * 3


@pytest.mark.parametrize(
    "signature, message",
    [
        (
            {"columns": (Column(name="new", kind="number"),)},
            "needs column 'new' of kind number, found no such column",
        ),
        (
            {"columns": (Column(name="sex", kind="number"),)},
            "needs column 'sex' of kind number, found string",
        ),
        ({"positive": "rich"}, "expected .*'>50K'"),
    ],
)
def test_an_arm_that_cannot_take_the_requests_is_refused(tmp_path, signature, message):
    other: Signature = msgspec.structs.replace(SIGNATURE, **signature)
    with pytest.raises(ValueError, match=message):
        Kit(tmp_path, "split", Other(signature=other))


def test_the_model_shows_its_arms(tmp_path):
    kit = Kit(tmp_path, "split", Other(), share=0.2)
    shown = kit.ask(None, "/models/census").json
    assert shown["experiment"] == "b"
    assert [(arm["version"], arm["mode"]) for arm in shown["arms"]] == [
        ("a", "live"),
        ("b", "split"),
    ]
    document = kit.ask(None, "/openapi.json").json
    answer = document["paths"][PREDICT]["post"]["responses"]["200"]["content"]
    schema = answer["application/json"]["schema"]
    assert "arm" in schema["properties"]["predictions"]["items"]["required"]
