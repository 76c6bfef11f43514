"""A server process with a model of several classes and one of a number."""

import json
import urllib.request

import pytest

from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.serving import Server, plan
from ml_assets_tests.kits.task_versions import (
    CLASSES,
    DEMAND,
    ROWS,
    TICKETS,
    answers,
    write_version,
)


def post(server, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    root = tmp_path_factory.mktemp("tasks")
    found = {
        "tickets": write_version(root, "t", TICKETS),
        "demand": write_version(root, "d", DEMAND),
    }
    for name, arm in found.items():
        assert arm.runtime == "compiled"
        published(root).publish(plan(arm, 1, name))
    return root, found


def test_each_task_is_answered_as_the_library_does_it(arms):
    root, found = arms
    expected = {name: answers(root, arm, ROWS) for name, arm in found.items()}
    with Server(root) as server:
        for name in found:
            server.logged("plan loaded", model=name)
        for row, probabilities in zip(ROWS, expected["tickets"], strict=True):
            # Alone, by the path that answers at once.
            (answer,) = server.predict([row], "tickets")["predictions"]
            assert answer["probabilities"] == dict(zip(CLASSES, probabilities))
            assert answer["probability"] == max(probabilities)
        together = server.predict(ROWS, "demand")["predictions"]
        alone = [server.predict([row], "demand")["predictions"][0] for row in ROWS]
        assert [item["value"] for item in together] == expected["demand"]
        assert [item["value"] for item in alone] == expected["demand"]
        predicted = post(server, "/invocations?model=demand", {"inputs": ROWS})
        assert predicted["predictions"] == expected["demand"]
        labels = [{"id": alone[0]["id"], "label": 40.5}]
        assert post(server, "/feedback", {"model": "demand", "labels": labels})[
            "accepted"
        ]
        stored = json.loads(server.get(f"/predictions/{alone[0]['id']}")[1])
        assert stored["value"] == expected["demand"][0]
        assert server.stop() == 0
