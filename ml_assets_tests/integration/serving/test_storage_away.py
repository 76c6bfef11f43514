"""A server whose storage is a bucket that goes away while it serves, and at a start."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import storage
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets_tests.kits.lossy import Lossy
from ml_assets_tests.kits.serving import Server, plan

pytestmark = pytest.mark.slow
AWAY = "the storage does not answer: the last plans are served"
REACHABLE = "ml_assets_storage_reachable"


def served(server: Server, given: Any) -> tuple[str, list[float]]:
    answer = server.predict(given)
    return answer["version"], [item["probability"] for item in answer["predictions"]]


def metric(server: Server) -> str:
    text = server.get("/metrics", server.metrics_port)[1].decode()
    (line,) = (item for item in text.splitlines() if item.startswith(REACHABLE))
    return line.split()[1]


@pytest.mark.parametrize("mode", ["refuse", "error"])
def test_a_server_serves_on_without_its_storage_and_starts_without_it(
    mode: str, lossy: Lossy, versions: Any, tmp_path: Path
) -> None:
    root, arms, given, expected = versions
    bucket = storage()
    for path in (root / "bundles").rglob("*.*"):
        bucket.put(path.relative_to(root).as_posix(), path.read_bytes())
    plans = PublishedPlans(bucket)
    plans.publish(plan(arms["a"], 1))
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for("plan loaded", generation=1)
        assert metric(server) == "1.0"
        lossy.mode = mode
        server.wait_for(AWAY)
        assert served(server, given) == ("a", expected["a"])
        assert metric(server) == "0.0"
        assert server.get("/v2/health/ready")[0] == 200
        lossy.mode = "through"
        server.wait_for("the storage answers again")
        plans.publish(plan(arms["b"], 2))
        server.wait_for("plan loaded", generation=2)
        assert server.stop() == 0
    lossy.mode = mode
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for("plan loaded", generation=2)
        assert served(server, given) == ("b", expected["b"])
        assert server.get("/v2/health/ready")[0] == 200
        server.logged(AWAY)
        lossy.mode = "through"
        plans.publish(plan(arms["a"], 3))
        server.wait_for("plan loaded", generation=3)
        assert served(server, given) == ("a", expected["a"])


def test_a_server_that_never_had_a_plan_waits_for_its_storage(
    lossy: Lossy, versions: Any, tmp_path: Path
) -> None:
    root, arms, given, expected = versions
    bucket = storage()
    for path in (root / "bundles").rglob("*.*"):
        bucket.put(path.relative_to(root).as_posix(), path.read_bytes())
    PublishedPlans(bucket).publish(plan(arms["a"], 1))
    lossy.mode = "refuse"
    with Server(tmp_path, storage=bucket.url) as server:
        server.wait_for(AWAY)
        assert server.get("/v2/health/ready")[0] == 503
        lossy.mode = "through"
        server.wait_for("plan loaded", generation=1)
        assert served(server, given) == ("a", expected["a"])
