"""What a later image of the platform decided holds for this one, too."""

import hashlib
import json
from pathlib import Path
from typing import Any

import click.testing
import pytest

from ml_assets.cli import main
from ml_assets.lifecycle.deployment import DoneError, RefusedError, deploy
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.kits.records import add_version

VERSION = "20261122T020000Z"


@pytest.fixture(autouse=True)
def stopped(home: Path) -> None:
    """A version that passed its gate, and that a later image put aside."""
    add_version(home, VERSION)
    later: Any = "quarantine"
    Ledger().append("churn", later, VERSION, None, "image v9", "it leaks", {"by": 9})


def test_the_deployment_refuses_it_and_does_not_choose_it(
    home: Path, make_spec: Any, registry: Path
) -> None:
    target = LocalTarget()
    with pytest.raises(RefusedError, match="is on hold since .*: it leaks"):
        deploy(make_spec(), target, VERSION, "run", "ana")
    with pytest.raises(DoneError):
        deploy(make_spec(), target, None, "run", "ana")
    assert Plans().current("churn") is None


def test_the_command_shows_exports_and_verifies_it(home: Path, registry: Path) -> None:
    run = click.testing.CliRunner().invoke
    shown = run(main, ["ledger", "churn"])
    assert shown.exit_code == 0, shown.output
    assert "quarantine" in shown.output and "it leaks" in shown.output
    listed = json.loads(run(main, ["ledger", "churn", "--json"]).stdout)
    assert [entry["kind"] for entry in listed["entries"]] == ["quarantine"]
    (line,) = run(main, ["ledger", "churn", "--export"]).stdout.splitlines()
    body = json.loads(line)
    digest = body.pop("hash")
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == digest
