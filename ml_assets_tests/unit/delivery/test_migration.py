"""Releases, attempts and notifications of an installation whose state was files."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.delivery.attempts import Attempts
from ml_assets.delivery.migration import migrate
from ml_assets.delivery.releases import Release, Releases
from ml_assets.observability.notifications.messages import Notification
from ml_assets.observability.notifications.notifier import Notifier, read_counts
from ml_assets.observability.notifications.slack import Slack
from ml_assets.state.ledger import Ledger
from ml_assets_tests.unit.delivery.test_attempt_rows import attempt

pytestmark = pytest.mark.usefixtures("database")

SEEN = Release(digest="sha256:1", name="main", images={"base": "b"}, commit="c")


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(msgspec.to_builtins(value)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What it left behind: one attempt that ended, and one that failed meanwhile."""
    releases, sent = tmp_path / "releases", tmp_path / "notifications"
    write(releases / "images/1.json", SEEN)
    write(releases / "heads.json", {"main": "sha256:1"})
    write(releases / "staging/00000001.json", attempt(1))
    write(releases / "staging/00000002.json", attempt(2))
    write(releases / "staging/00000002.failed.json", {"why": "smoke", "checks": []})
    write(releases / "production/00000001.json", attempt(1, "production"))
    write(sent / "counts.json", {"drift": {"delivered": 3}})
    (sent / "claims").mkdir()
    (sent / "claims/0a1b").write_text("drift:churn:1\n")
    for key in ("staging:1", "production:1"):
        Ledger().append(
            "release", "release_staging", "sha256:1", None, "ann", "", {}, key
        )
    return tmp_path


def test_everything_is_there_afterwards_and_may_be_moved_again(source: Path) -> None:
    assert migrate(source, dry_run=True) == migrate(source) == (1, 3, 1)
    assert migrate(source) == (1, 3, 1)
    assert Releases().get("sha256:1") == SEEN
    assert Releases().polled() == {"main": "sha256:1"}
    staging, production = Attempts("staging"), Attempts("production")
    assert staging.unfinished() == attempt(2)
    assert staging.failure(attempt(2)) == {"why": "smoke", "checks": []}
    assert production.unfinished() is None and production.newest() is not None
    notifier = Notifier(Slack("https://slack.example.com/x"))
    known = Notification("drift:churn:1", "drift", 1.0, "churn drifts", "")
    assert notifier.unsent([known]) == []
    assert read_counts() == {"drift": {"delivered": 3}}


def test_a_rehearsal_writes_nothing(source: Path) -> None:
    migrate(source, dry_run=True)
    assert Releases().find("sha256:1") is None


def test_where_there_was_nothing_nothing_is_moved(tmp_path: Path) -> None:
    assert migrate(tmp_path / "away") == (0, 0, 0)


def test_a_file_that_is_no_attempt_stops_it(source: Path) -> None:
    (source / "releases/staging/00000001.json").write_text("{}")
    with pytest.raises(msgspec.ValidationError):
        migrate(source)
    assert Releases().find("sha256:1") is None
