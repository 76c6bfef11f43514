"""The target docker where there is no engine; with one, see the integration tests."""

from pathlib import Path

import pytest

from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, configured_target
from ml_assets.targets.containers import Server
from ml_assets.targets.docker import DockerTarget
from ml_assets_tests.kits.plans import apply

PLAN = ServingPlan(
    model="churn",
    generation=1,
    arms=(Arm(version="a", bundle="bundles/a", files={}, runtime="compiled"),),
    created_at="2026-11-23T02:00:00Z",
    reason="test",
)


def test_it_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", "docker")
    assert isinstance(configured_target(), DockerTarget)


def test_an_engine_that_does_not_answer_is_named_and_nothing_is_tried(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(RolloutError, match="the Docker engine at tcp://127.0.0.1:9"):
        apply(DockerTarget(), PLAN)
    assert Plans().current("churn") is None
    assert not (home / "pinned").exists()


@pytest.mark.parametrize(
    "status, restarts, ended",
    [
        ("running", 0, False),
        ("created", 0, False),
        ("running", 1, True),
        ("restarting", 1, True),
        ("exited", 0, True),
    ],
)
def test_a_container_that_is_started_again_has_ended(
    status: str, restarts: int, ended: bool
) -> None:
    server = Server("0123456789abcdef", 1, "digest", "image", status, restarts, 1)
    assert server.has_ended is ended
    assert server.host == "0123456789ab"
