"""Servers that serve one model, or one plan of it, whatever becomes active."""

import threading

import pytest

from ml_assets.serving.process.handoff import SocketHandoff
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan

PIN = ["--model", "census", "--generation"]


def test_a_pinned_server_keeps_its_plan_when_another_becomes_active(storage, versions):
    _, arms, given, expected = versions
    with Server(storage, *PIN, "1") as old:
        old.wait_for("plan loaded", generation=1)
        old.plans.publish(plan(arms["b"], 2))
        with Server(storage, *PIN, "2") as new:
            new.wait_for("plan loaded", generation=2)
            answers = {
                server.predict(given)["version"]: [
                    item["probability"] for item in server.predict(given)["predictions"]
                ]
                for server in (old, new)
            }
    assert answers == expected


def test_a_pinned_server_loads_what_is_tried_and_keeps_its_own(storage, versions):
    _, arms, _, _ = versions
    with Server(storage, *PIN, "1") as old:
        old.wait_for("plan loaded", generation=1)
        old.plans.pin(plan(arms["b"], 2))
        with Server(storage, *PIN, "2") as new:
            new.wait_for("plan loaded", generation=2)
            assert new.get("/v2/health/ready")[0] == 200
            reports = await_true(
                lambda: all(found := old.rendezvous.reports("census")) and found,
                "both servers have reported",
            )
            states = sorted((item.generation, item.state) for item in reports)
            assert states == [(1, "ready"), (2, "ready")]
            assert old.plans.current("census").generation == 1


def test_a_pinned_server_is_not_ready_before_there_is_its_plan(storage, versions):
    _, arms, _, _ = versions
    with Server(storage, *PIN, "2") as server:
        assert server.get("/v2/health/ready")[0] == 503
        server.plans.publish(plan(arms["b"], 2))
        server.wait_for("plan loaded", generation=2)
        assert server.get("/v2/health/ready")[0] == 200


def test_a_server_of_one_model_leaves_the_others_alone(storage, versions):
    _, arms, _, _ = versions
    with Server(storage, "--model", "churn") as server:
        server.plans.publish(plan(arms["a"], 1, model="churn"))
        server.wait_for("plan loaded", model="churn")
        assert server.get("/models/census")[0] == 404
        server.plans.publish(plan(arms["b"], 2, model="churn"))
        server.wait_for("plan loaded", model="churn", generation=2)


def test_a_server_of_the_shared_pool_serves_each_model_by_its_own_pin(
    storage, versions
):
    _, arms, given, expected = versions
    with Server(storage, "--generation", "census=1,churn=2") as server:
        server.wait_for("plan loaded", model="census", generation=1)
        assert server.get("/v2/health/ready")[0] == 503
        server.plans.pin(plan(arms["b"], 2, model="churn"))
        server.wait_for("plan loaded", model="churn", generation=2)
        assert server.get("/v2/health/ready")[0] == 200
        server.plans.publish(plan(arms["a"], 1, model="telco"))
        server.plans.publish(plan(arms["b"], 2))
        found = [item["probability"] for item in server.predict(given)["predictions"]]
        assert found == expected["a"]
        assert server.get("/models/churn")[0] == 200
        assert server.get("/models/telco")[0] == 404


def test_a_proposed_plan_gets_no_request_of_the_handoff_before_it_is_active(
    storage, versions, tmp_path
):
    _, arms, _, _ = versions
    handoff = tmp_path / "none.sock"
    with Server(storage, *PIN, "2", "--handoff", str(handoff)) as server:
        mark = [*storage.glob("servers/*")][0] / "handoff"
        server.plans.pin(plan(arms["b"], 2))
        server.wait_for("plan loaded", generation=2)
        socket_handoff = SocketHandoff("127.0.0.1", 0, handoff)
        thread = threading.Thread(target=socket_handoff.run)
        thread.start()
        try:
            assert not mark.exists()
            server.plans.publish(plan(arms["b"], 2))
            await_true(mark.exists, "it steps behind the hand-off")
        finally:
            socket_handoff.close()
            thread.join()


def test_a_plan_without_its_model_is_refused():
    with pytest.raises(ValueError, match="generation is 3 and model is missing"):
        ServerSettings.load({}, {"ML_ASSETS_GENERATION": "3"})
    both = {"ML_ASSETS_MODEL": "iris", "ML_ASSETS_GENERATION": "iris=2,churn=3"}
    with pytest.raises(ValueError, match="iris=2,churn=3 and model is iris, expected"):
        ServerSettings.load({}, both)
    found = ServerSettings.load({}, {"ML_ASSETS_GENERATION": "iris=2,churn=3"})
    assert found.pins() == {"iris": "2", "churn": "3"}
    # The annotation that is not there yet gives an empty variable.
    assert ServerSettings.load({}, {"ML_ASSETS_GENERATION": ""}).generation == ""
