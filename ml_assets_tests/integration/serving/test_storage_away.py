"""A server whose storage is a bucket that goes away while it serves, and at a start."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import storage
from ml_assets.lifecycle.compaction import compact
from ml_assets.records.plan import Arm
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.state.logged import predictions
from ml_assets_tests.kits.outages import Mode, Outage
from ml_assets_tests.kits.serving import Load, Server, plan

pytestmark = pytest.mark.slow
AWAY = "the storage does not answer: the last plans are served"
REACHABLE = "ml_assets_storage_reachable"
# How the storage is cut off under load, and for how many seconds more than is noticed.
CUTS: dict[Mode, float] = {"refuse": 3.0, "hang": 60.0}


def published(root: Path, arm: Arm) -> PublishedPlans:
    """The bundles below `root` in the storage of this test, and a plan of `arm`."""
    for path in (root / "bundles").rglob("*.*"):
        storage().put(path.relative_to(root).as_posix(), path.read_bytes())
    plans = PublishedPlans(storage())
    plans.publish(plan(arm, 1))
    return plans


def served(server: Server, given: Any) -> tuple[str, list[float]]:
    answer = server.predict(given)
    return answer["version"], [item["probability"] for item in answer["predictions"]]


def metric(server: Server) -> str:
    text = server.get("/metrics", server.metrics_port)[1].decode()
    (line,) = (item for item in text.splitlines() if item.startswith(REACHABLE))
    return line.split()[1]


@pytest.mark.parametrize(
    "outage, mode",
    [("s3", "refuse"), ("s3", "error"), ("azure", "hang")],
    indirect=["outage"],
)
def test_a_server_serves_on_without_its_storage_and_starts_without_it(
    mode: Mode, outage: Outage, versions: Any, tmp_path: Path
) -> None:
    root, arms, given, expected = versions
    bucket, plans = storage(), published(root, arms["a"])
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for("plan loaded", generation=1)
        assert metric(server) == "1.0"
        outage.mode = mode
        server.wait_for(AWAY)
        assert served(server, given) == ("a", expected["a"])
        assert metric(server) == "0.0"
        assert server.get("/v2/health/ready")[0] == 200
        outage.mode = "through"
        server.wait_for("the storage answers again")
        plans.publish(plan(arms["b"], 2))
        server.wait_for("plan loaded", generation=2)
        assert server.stop() == 0
    outage.mode = mode
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for("plan loaded", generation=2)
        assert served(server, given) == ("b", expected["b"])
        assert server.get("/v2/health/ready")[0] == 200
        server.logged(AWAY)
        outage.mode = "through"
        plans.publish(plan(arms["a"], 3))
        server.wait_for("plan loaded", generation=3)
        assert served(server, given) == ("a", expected["a"])


@pytest.mark.parametrize("outage", ["s3"], indirect=True)
def test_a_server_that_never_had_a_plan_waits_for_its_storage(
    outage: Outage, versions: Any, tmp_path: Path
) -> None:
    root, arms, given, expected = versions
    published(root, arms["a"])
    bucket = storage()
    outage.mode = "refuse"
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for(AWAY)
        assert server.get("/v2/health/ready")[0] == 503
        outage.mode = "through"
        server.wait_for("plan loaded", generation=1)
        assert served(server, given) == ("a", expected["a"])


@pytest.mark.parametrize("outage", ["s3"], indirect=True)
def test_no_request_fails_while_the_storage_is_cut_off_for_a_minute(
    outage: Outage, versions: Any, tmp_path: Path
) -> None:
    root, arms, given, expected = versions
    bucket, plans = storage(), published(root, arms["a"])
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for("plan loaded", generation=1)
        load = Load(server.port, given, expected, 4, pause=0.02)

        def cut_off() -> None:
            for number, (mode, seconds) in enumerate(CUTS.items(), 2):
                outage.mode = mode
                server.wait_for(AWAY)
                time.sleep(seconds)
                outage.mode = "through"
                server.wait_for("the storage answers again")
                plans.publish(plan(arms["ab"[number % 2 - 1]], number))
                server.wait_for("plan loaded", generation=number)
            # The reply to the next segment that is shipped.
            outage.mode = "lose"

        asyncio.run(load.run(asyncio.to_thread(cut_off)))
        assert server.stop() == 0
    assert load.wrong == load.lost == [] and load.closed == 0
    assert load.order == ["a", "b"]
    # Each answer is logged, and no line of it is shipped twice or lost.
    compact("census", "predictions")
    found = [str(name) for part in predictions("census", ["id"]) for name in part["id"]]
    assert len(found) == len({*found}) == load.answered.total()
