"""What the log has of a caller, and which predictions its labels and look-ups reach."""

import json

import pytest

from ml_assets_tests.kits.access import bearer, guard, key, write_keys
from ml_assets_tests.kits.app import ROW, ask
from ml_assets_tests.kits.prediction_log import logged
from ml_assets_tests.unit.serving.protocols.test_feedback import ID, Kit

PREDICT = "/models/census/predict"
ANNA, OTTO, DESK = (bearer(f"{name}.secret") for name in ("anna", "otto", "desk"))


@pytest.fixture
def kit(tmp_path):
    found = Kit(tmp_path)
    keys = [key(name, routes=["predict"]) for name in ("anna", "otto")]
    desk = key("desk", routes=["feedback", "lookup"])
    anonymous = {"models": ["*"], "routes": ["predict"]}
    file = write_keys(tmp_path / "keys.json", *keys, desk, anonymous=anonymous)
    guard(found.app, file)
    return found


def predicted(kit, headers, rows=1):
    answer = ask(kit.app, PREDICT, {"rows": [ROW] * rows}, headers=headers)
    return [item["id"] for item in answer.json["predictions"]]


def found(kit, id_, headers):
    return ask(kit.app, f"/predictions/{id_}", headers=headers)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_log_names_who_asked(kit, rows):
    predicted(kit, ANNA, rows)
    predicted(kit, {}, rows)
    records = logged((kit.root / "log").rglob("*.open"))
    assert [item["caller"] for item in records] == rows * ["anna"] + rows * [
        "anonymous"
    ]


def test_without_keys_the_log_has_no_caller(tmp_path):
    open_ = Kit(tmp_path)
    (id_,) = predicted(open_, {})
    (file,) = (tmp_path / "log").rglob("*.open")
    assert "caller" not in json.loads(file.read_text())
    answer = found(open_, id_, {})
    assert answer.status == 200 and "caller" not in answer.json


def test_a_prediction_is_found_by_who_asked_and_by_who_has_the_route(kit):
    (id_,) = predicted(kit, ANNA)
    assert found(kit, id_, ANNA).json["caller"] == "anna"
    assert found(kit, id_, DESK).json["id"] == id_
    refused = found(kit, id_, OTTO | {"x-request-id": "r"})
    unknown = found(kit, ID, OTTO | {"x-request-id": "r"})
    assert refused.status == unknown.status == 404
    assert refused.body == unknown.body


def test_nobody_without_a_key_finds_what_another_without_one_asked(kit):
    (id_,) = predicted(kit, {})
    assert found(kit, id_, {}).status == 403
    assert found(kit, id_, DESK).status == 200


@pytest.mark.parametrize("headers, own", [(ANNA, True), (DESK, None)])
def test_labels_are_kept_with_who_sent_them(kit, headers, own):
    kit.feedback([{"id": ID, "label": ">50K"}])
    labels = {"model": "census", "labels": [{"id": ID, "label": ">50K"}]}
    assert ask(kit.app, "/feedback", labels, headers=headers).status == 202
    (record,) = kit.records()
    name = headers["authorization"].removeprefix("Bearer ").partition(".")[0]
    assert (record["caller"], record.get("own")) == (name, own)
