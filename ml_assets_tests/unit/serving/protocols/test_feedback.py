"""Labels that come back, and predictions that are looked up."""

import json
import os

import msgspec
import pytest

from ml_assets.records.plan import Arm, ServingPlan, encode
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.app import ROW, SIGNATURE, FakeRuntime, ask
from ml_assets_tests.kits.plans import published

ID = "019aae2f-a000-7000-8000-000000000000"


class Kit:
    """A server with a log in a directory."""

    def __init__(self, root, signature=SIGNATURE):
        self.root = root
        settings = ServerSettings(home=str(root), storage=str(root), max_rows=100)
        self.metrics, ids = Metrics(), PredictionIds()
        logs = self.logs = LogKeeper(settings, self.metrics, "me")
        arm = Arm(version="v1", bundle="b", files={}, runtime="compiled")
        plan = ServingPlan(
            model="census", generation=1, arms=(arm,), created_at="", reason="test"
        )
        published(root).publish(plan)
        (root / "b").mkdir()
        (root / "b" / "signature.json").write_bytes(encode(signature))
        loaded = ServedArm("census", arm, FakeRuntime(signature=signature), 100, ids)
        model = ServedModel(plan, [loaded], Recorder(logs.log_of("census")))
        self.app = ModelServer(settings, self.metrics, ids)
        self.app.state = ServedState(
            {"census": model}, frozenset(), True, self.metrics, logs
        )

    def feedback(self, labels, **more):
        return ask(self.app, "/feedback", {"model": "census", "labels": labels, **more})

    def records(self):
        files = (self.root / "log").rglob("*.labels.open")
        text = "".join(item.read_text() for item in files)
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def kit(tmp_path):
    return Kit(tmp_path)


def test_labels_are_kept_and_counted(kit):
    labels = [
        {"id": ID, "label": ">50K"},
        {"entity": "p1", "time": 1.5e9, "label": "<=50K"},
    ]
    answer = kit.feedback(labels)
    assert answer.status == 202
    assert answer.json == {
        "model": "census", "accepted": 2, "by_id": 1, "by_entity": 1,
    }  # fmt: skip
    lines = kit.records()
    assert all(line.pop("received") > 1.7e9 for line in lines)
    assert lines == [
        {"id": ID, "entity": None, "time": None, "label": ">50K"},
        {"id": None, "entity": "p1", "time": 1.5e9, "label": "<=50K"},
    ]
    assert kit.metrics.labels == {"census": 2}


@pytest.mark.parametrize(
    "label, message",
    [
        (
            {"id": ID, "label": "rich"},
            'row 0, column \'label\': expected "<=50K" or ">50K", found another string',
        ),
        ({"id": ID, "label": None}, "found null"),
        ({"id": ID, "label": [1]}, "found an array"),
        ({"id": "x", "label": ">50K"}, "expected the id of a prediction"),
        ({"id": ID.replace("-7", "-4"), "label": ">50K"}, "the id of a prediction"),
        ({"id": 3, "label": ">50K"}, "found a number"),
        ({"entity": "", "time": 1, "label": ">50K"}, "a string of 1 to 256"),
        (
            {"entity": "e", "time": "now", "label": ">50K"},
            "expected a time in ISO 8601",
        ),
        ({"entity": "e", "time": -1, "label": ">50K"}, "expected a time in ISO 8601"),
        ({"entity": "e", "time": True, "label": ">50K"}, "expected a time in ISO 8601"),
        ({"entity": "e", "label": ">50K"}, "an object of id and label, or of entity"),
        ({"id": ID, "entity": "e", "label": ">50K"}, "found other keys"),
        (3, "found a number"),
    ],
)
def test_one_label_that_does_not_fit_refuses_all(kit, label, message):
    answer = kit.feedback([{"id": ID, "label": ">50K"}, label][::-1])
    assert answer.status == 422
    assert message in answer.json["detail"]
    assert kit.records() == []


@pytest.mark.parametrize(
    "body, status, message",
    [
        ({"model": "census"}, 422, "expected an array of labels, found nothing"),
        ({"model": "census", "labels": {}}, 422, "found an object"),
        ({"model": "census", "labels": []}, 422, "at least one row"),
        ({"model": "census", "labels": [1] * 101}, 413, "at most 100 rows"),
        ({"labels": []}, 422, "expected a name, found null"),
        ({"model": "other", "labels": []}, 404, "the models here are census"),
        ({"model": "census", "labels": [], "x": 1}, 422, "only the keys model, labels"),
    ],
)
def test_feedback_of_another_shape_is_refused(kit, body, status, message):
    answer = ask(kit.app, "/feedback", body)
    assert answer.status == status
    assert message in answer.json["detail"]


@pytest.mark.parametrize("sent", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize("target", [(0, 1), (0.0, 1.0), ("0", "1"), ("0.0", "1.0")])
def test_a_label_may_be_written_as_a_table_has_it(tmp_path, sent, target):
    negative, positive = target
    signature = msgspec.structs.replace(SIGNATURE, negative=negative, positive=positive)
    kit = Kit(tmp_path, signature)
    assert kit.feedback([{"id": ID, "label": sent}]).status == 202
    assert kit.records()[0]["label"] == positive


def test_labels_that_cannot_be_kept_are_refused(kit, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    answer = kit.feedback([{"id": ID, "label": ">50K"}])
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"


def test_a_prediction_is_found_with_its_input(kit):
    asked = ask(
        kit.app, "/models/census/predict", {"rows": [ROW], "entities": ["p1"]}
    ).json
    prediction = asked["predictions"][0]
    answer = ask(kit.app, f"/predictions/{prediction['id']}")
    assert answer.status == 200
    found = answer.json
    assert found.pop("time") > 1.7e9 and found.pop("latency_us") > 0
    assert found == {
        "id": prediction["id"], "model": "census", "version": "v1", "arm": "live",
        "probability": 0.41, "label": "<=50K", "generation": 1,
        "request_id": asked["request_id"], "entity": "p1", "input": ROW, "shadows": [],
    }  # fmt: skip


def test_the_input_of_a_former_version_is_named_as_long_as_its_bundle_is_there(kit):
    answer = ask(kit.app, "/models/census/predict", {"rows": [ROW]}).json
    kit.app.state = ServedState({}, frozenset(), True, kit.metrics, kit.logs)
    path = f"/predictions/{answer['predictions'][0]['id']}"
    signature = kit.root / "versions/census/v1/bundle/signature.json"
    signature.parent.mkdir(parents=True)
    signature.write_bytes(encode(SIGNATURE))
    assert ask(kit.app, path).json["input"]["sex"] == "Male"
    signature.unlink()
    assert ask(kit.app, path).json["input"] == [41, 40, True, "Male", "x"]


@pytest.mark.parametrize(
    "path, message",
    [
        (ID, "no log has this prediction"),
        ("nonsense", "a UUID of version 7"),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", "a UUID of version 7"),
        ("", "a UUID of version 7"),
        ("../../etc", "a UUID of version 7"),
    ],
)
def test_what_was_never_predicted_is_not_found(kit, path, message):
    answer = ask(kit.app, f"/predictions/{path}")
    assert answer.status == 404
    assert message in answer.json["detail"]


def test_a_server_that_keeps_nothing_refuses_labels_and_look_ups(kit):
    state = kit.app.state
    kit.app.state = ServedState(state.models, frozenset(), True, kit.metrics)
    assert kit.feedback([{"id": ID, "label": ">50K"}]).status == 503
    assert ask(kit.app, f"/predictions/{ID}").status == 404


def test_labels_that_a_power_cut_could_take_are_not_acknowledged(kit, monkeypatch):
    labels = [{"id": ID, "label": ">50K"}]
    flushed = []
    fsync = os.fsync

    def broken(descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        assert kit.feedback(labels).status == 503
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(fd) or fsync(fd))
    assert kit.feedback(labels).status == 202
    assert flushed
