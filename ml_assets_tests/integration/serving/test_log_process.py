"""The prediction log of real servers: killed, on a full disk, and with several arms."""

import asyncio
import json
import math
import random
import re
import resource
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from ml_assets.core.storage import Storage
from ml_assets.serving.log.shipping import adopt
from ml_assets_tests.kits.prediction_log import logged
from ml_assets_tests.kits.serving import Load, Server, plan

ENTITIES = [f"person-{index}" for index in range(10_000)]


class Ids(Load):
    """A load that remembers the ids of the answers that it read to the end."""

    def __init__(self, *arguments, **more) -> None:
        super().__init__(*arguments, **more)
        self.ids: list[str] = []

    def _check(self, number, head, body) -> None:
        super()._check(number, head, body)
        self.ids += [item["id"] for item in body["predictions"]]


def shipped(storage: Path) -> list[dict]:
    """The predictions in the storage."""
    return logged(sorted((storage / "segments" / "census").glob("*.jsonl")))


def two_arms(arms, generation, mode, share):
    """Version a live, and b beside it."""
    other = msgspec.structs.replace(arms["b"], mode=mode, share=share)
    found = plan(arms["a"], generation)
    return msgspec.structs.replace(
        found, arms=(*found.arms, other), salt="census/b", experiment="b"
    )


@pytest.mark.parametrize(
    "kills", [2, pytest.param(20, marks=pytest.mark.slow)], ids=str
)
def test_a_killed_server_has_logged_each_answer_once(storage, versions, kills):
    _, _, given, expected = versions
    rng = random.Random(7)
    answered: list[str] = []
    for _ in range(kills):
        # Small segments, so that some kills meet one that is being closed or shipped.
        with Server(
            storage, "--segment-bytes", "50000", "--segment-seconds", "0.3"
        ) as server:
            server.wait_for("plan loaded")
            load = Ids(server.port, given, expected, connections=16)

            async def kill(load=load, server=server) -> None:
                while not load.ids:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(rng.uniform(0.0, 1.2))
                server.process.send_signal(signal.SIGKILL)

            asyncio.run(load.run(kill()))
            server.process.wait()
        assert load.wrong == []
        answered += load.ids
    adopt(storage, Storage(str(storage)), "census")
    logged = Counter(line["id"] for line in shipped(storage))
    missing = [id_ for id_ in answered if id_ not in logged]
    twice = [id_ for id_, count in logged.items() if count > 1]
    print(
        f"{kills} kills: {len(answered)} answered, {len(logged)} logged,"
        f" {len(missing)} of the answered not logged, {len(twice)} logged twice"
    )
    assert missing == [] and twice == []
    # What was logged and not answered was under way when the server died.
    assert len(logged) - len(answered) <= 16 * kills
    assert not list((storage / "log").rglob("*.open"))


def test_what_a_dead_server_left_is_shipped_by_the_next(storage, versions):
    _, _, given, _ = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        predictions = server.predict(given)["predictions"]
        server.process.kill()
    with Server(storage) as server:
        server.wait_for("plan loaded")
        # The segment is taken over before or after that.
        server.logged("segment adopted", model="census")
        found = server.get(f"/predictions/{predictions[3]['id']}")
        assert found[0] == 200
        assert json.loads(found[1])["input"] == given[3]
        assert server.stop() == 0
    assert [line["id"] for line in shipped(storage)] == [
        item["id"] for item in predictions
    ]


def lost(server: Server) -> int:
    text = server.get("/metrics", server.metrics_port)[1].decode()
    found = re.search(
        r'^ml_assets_prediction_log_lost_total{model="census"} (\S+)', text, re.M
    )
    return int(float(found[1])) if found else 0


def test_on_a_full_disk_answers_go_on_and_the_loss_is_counted(storage, versions):
    _, _, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        limit = (1000, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
        answers = [server.predict(given) for _ in range(5)]
        for answer in answers:
            found = [item["probability"] for item in answer["predictions"]]
            assert found == expected["a"]
        server.wait_for("predictions are answered and not logged", model="census")
        logged_once = [line["message"] for line in server.seen]
        assert logged_once.count("predictions are answered and not logged") == 1
        gone = lost(server)
        assert gone == 5 * len(given)
        free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, free)
        kept = server.predict(given)
        assert lost(server) == gone
        assert server.stop() == 0
    ids = [item["id"] for item in kept["predictions"]]
    assert [line["id"] for line in shipped(storage)] == ids


def test_a_shadow_scores_what_was_answered_for_the_log_alone(storage, versions):
    _, arms, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        server.plans.publish(two_arms(arms, 2, "shadow", 1.0))
        server.wait_for("plan loaded", generation=2)
        for row in given:
            assert server.predict([row])["version"] == "a"
        assert server.stop() == 0
    lines = shipped(storage)
    for mode, version in (("live", "a"), ("shadow", "b")):
        of_arm = sorted(
            (line for line in lines if line["arm"] == mode), key=lambda line: line["id"]
        )
        assert [line["p"] for line in of_arm] == expected[version]
        assert {line["version"] for line in of_arm} == {version}


def ask(port: int, entities: list[str], row: dict) -> list[str]:
    """The version that answers each entity."""
    import urllib.request

    found: list[str] = []
    for at in range(0, len(entities), 500):
        names = entities[at : at + 500]
        body = {"rows": [row] * len(names), "entities": names}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/models/census/predict",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found += [item["version"] for item in json.load(answer)["predictions"]]
    return found


@pytest.mark.slow
def test_entities_stay_on_their_arm_over_servers_and_restarts(storage, versions):
    _, arms, given, _ = versions
    share = 0.3
    shutil.rmtree(storage / "plans")
    assignments = []
    for start in range(2):
        servers = [Server(storage) for _ in range(3)]
        try:
            if start == 0:
                servers[0].plans.publish(two_arms(arms, 1, "split", share))
            for server in servers:
                server.wait_for("plan loaded")
                assignments.append(ask(server.port, ENTITIES, given[0]))
            if start == 1:
                # A larger share moves only those that it must.
                servers[0].plans.publish(two_arms(arms, 2, "split", 0.4))
                servers[0].wait_for("plan loaded", generation=2)
                after = ask(servers[0].port, ENTITIES, given[0])
            for server in servers:
                assert server.stop() == 0
        finally:
            for server in servers:
                server.process.kill()
    first = assignments[0]
    changes = sum(
        one != other
        for item in assignments[1:]
        for one, other in zip(first, item, strict=True)
    )
    count = first.count("b")
    width = 3.3 * math.sqrt(len(ENTITIES) * share * (1 - share))
    moved = Counter(zip(first, after, strict=True))
    print(
        f"{len(ENTITIES)} entities, 3 servers, 1 restart: {changes} changes of arm;"
        f" {count} on the arm of share {share}; a share of 0.4 moved"
        f" {moved['a', 'b']} to it and {moved['b', 'a']} from it"
    )
    assert changes == 0
    assert abs(count - share * len(ENTITIES)) < width
    assert moved["b", "a"] == 0 and 850 < moved["a", "b"] < 1150


def test_an_old_segment_is_shipped_while_the_server_runs(storage, versions):
    _, _, given, _ = versions
    with Server(storage, "--segment-seconds", "0.2") as server:
        server.wait_for("plan loaded")
        predictions = server.predict(given)["predictions"]
        deadline = time.monotonic() + 20
        while not shipped(storage) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [line["id"] for line in shipped(storage)] == [
            i["id"] for i in predictions
        ]
