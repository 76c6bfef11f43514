"""``ml-assets rollout`` with the servers of this machine, and without an engine."""

from pathlib import Path

import pytest

from ml_assets.state.plans import Plans
from ml_assets_tests.kits.cli import VERSION, deploy_small_model, invoke


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    deploy_small_model(tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["income"]])
def test_what_is_active_is_rolled_out_again_and_no_plan_is_made(
    storage: Path, arguments: list[str]
) -> None:
    result = invoke("rollout", *arguments)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["income", VERSION, "1", "0"]
    assert len(Plans().history("income")) == 1


def test_a_model_that_was_never_deployed_is_named(storage: Path) -> None:
    result = invoke("rollout", "churn")
    assert result.exit_code == 1
    assert "churn is not in service, expected one of income" in result.stderr


def test_nothing_deployed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tmp_path))
    result = invoke("rollout")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_rollout_that_fails_is_reported_with_its_reason(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", "docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    result = invoke("rollout")
    assert result.exit_code == 1
    assert "income: the Docker engine at tcp://127.0.0.1:9" in result.stderr
