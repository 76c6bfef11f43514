"""The choice of target by the environment."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets.targets import TargetError, configured_target
from ml_assets.targets.local import LocalTarget


@pytest.mark.parametrize("value", [None, "", "local"])
def test_the_servers_of_this_machine_are_the_default(
    value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tmp_path))
    if value is None:
        monkeypatch.delenv("ML_ASSETS_TARGET", raising=False)
    else:
        monkeypatch.setenv("ML_ASSETS_TARGET", value)
    chosen = configured_target()
    assert isinstance(chosen, LocalTarget)
    assert chosen.published.storage.root == tmp_path


def test_an_unknown_target_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", "swarm")
    expected = "is 'swarm', expected one of local, docker, kubernetes"
    with pytest.raises(TargetError, match=expected):
        configured_target()
    done = CliRunner().invoke(main, ["retention", "breast_cancer", "--dry-run"])
    assert done.exit_code == 1
    assert expected in done.output
