"""A real daemon and a real registry: images on their way to production and back.

The clusters, the webservers in them and Slack are servers on this machine that speak
their protocols; the registry is Debian's ``docker-registry``.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

import ml_assets
from ml_assets.cli import main
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.environment import FIRST, Environment, environments
from ml_assets_tests.kits.oci import COMMITS, RealRegistry, build, real_registry
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.slack import SlackDouble, slack_double

pytestmark = pytest.mark.slow

SHIPPED = Path(ml_assets.__file__).parents[1] / "dagster.yaml"
# The shipped instance, with short waits and a dead run noticed soon.
QUICK = {
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 1,
        "start_timeout_seconds": 60,
        "max_runtime_seconds": 40,
    },
    "run_retries": {"enabled": False},
}
LOCATION = """
import dagster as dg
from ml_assets.automation import notify as automation_notify
from ml_assets.automation import delivery as automation
from ml_assets.automation import delivery_definitions as definitions
from ml_assets.assets import delivery_runs as runs

automation_notify.SENSOR_SECONDS = 1
automation.STAGING_SECONDS = automation.PRODUCTION_SECONDS = 1
automation.MAX_SECONDS = 40
runs.WAIT_SECONDS = 1
defs = dg.Definitions.merge(
    definitions.build(),
    automation_notify.build(),
    dg.Definitions(executor=dg.in_process_executor),
)
"""
STAGING, PRODUCTION = "release_staging", "release_production"


class Site:
    """A daemon that delivers from a registry to two environments, and tells Slack."""

    def __init__(
        self,
        home: Path,
        registry: RealRegistry,
        places: tuple[Environment, Environment],
        slack: SlackDouble,
    ) -> None:
        self.home = home
        self.registry = registry
        self.staging, self.production = places
        self.slack = slack
        self.ledger = Ledger(home)
        config = yaml.safe_load(SHIPPED.read_text()) | QUICK
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(config))
        (home / "location.py").write_text(LOCATION)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.instance = dg.DagsterInstance.get()
        # The databases are made here: two programs that make them at once collide.
        assert not self.instance.get_runs() and not self.instance.all_asset_keys()
        assert not self.instance.all_instigator_state()

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run"]
        with (self.home / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [*command, "-f", str(self.home / "location.py")],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL the daemon, its code server and its runs, as a power cut does."""
        if self.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def close(self) -> None:
        self.kill()
        self.instance.dispose()

    def push(self, commit: str, *names: str, fault: str = "", where: str = "") -> str:
        """Push the images of a commit; the digest of the release."""
        found = build(COMMITS[commit])
        for place in (self.staging, self.production):
            place.commits[found["base"].digest] = COMMITS[commit]
        if fault:
            place = self.production if where == "production" else self.staging
            place.faults[found["base"].digest] = fault
        return self.registry.push(found, f"sha-{COMMITS[commit]}", *names)

    def approve(self, tag: str) -> Any:
        arguments = ["approve", tag, "--reason", "tested by the risk team"]
        return CliRunner().invoke(main, arguments)

    def entries(self) -> list[Entry]:
        assert self.ledger.verify(RELEASE) == []
        return self.ledger.entries(RELEASE)

    def story(self) -> list[tuple[str, str]]:
        """Kind and release of each entry."""
        return [(entry.kind, entry.version) for entry in self.entries()]

    def await_story(self, *expected: tuple[str, str]) -> None:
        await_true(
            lambda: len(self.story()) >= len(expected), f"the ledger tells {expected}"
        )
        assert self.story() == [*expected]

    def runs(self, job: str) -> list[dg.DagsterRun]:
        found = self.instance.get_runs(dg.RunsFilter(job_name=job))
        return list(reversed(found))

    def ticks(self, sensor: str) -> list[Any]:
        """Ticks of a sensor, the newest first."""
        for state in self.instance.all_instigator_state():
            if state.instigator_name == sensor:
                return list(
                    self.instance.get_ticks(
                        state.instigator_origin_id, state.selector_id
                    )
                )
        return []

    def await_ticks(self, sensor: str, number: int = 2) -> list[Any]:
        """Wait until a sensor has looked again; its newest ticks."""
        before = max((tick.tick_id for tick in self.ticks(sensor)), default=0)

        def later() -> list[Any]:
            found = [
                tick
                for tick in self.ticks(sensor)
                if tick.tick_id > before and tick.status.value != "STARTED"
            ]
            return found if len(found) >= number else []

        found: list[Any] = await_true(later, f"{sensor} looked again")
        return found

    def launch(self, job: str, config: dict[str, Any]) -> dg.DagsterRun:
        """Run a job in a process of its own, as the launchpad does."""
        options = self.home / "config.yaml"
        options.write_text(yaml.safe_dump({"ops": config}))
        command = [str(Path(sys.executable).parent / "dagster"), "job", "execute"]
        subprocess.run(
            [*command, "-f", str(self.home / "location.py"), "-j", job]
            + ["-c", str(options)],
            capture_output=True,
            check=False,
        )
        return self.runs(job)[-1]

    def told(self, text: str) -> bool:
        return any(text in message for message in self.slack.texts)


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    staging, production = environments(monkeypatch)
    with (
        real_registry(home) as registry,
        slack_double() as slack,
        staging.running(),
        production.running(),
    ):
        monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
        monkeypatch.setenv("SLACK_WEBHOOK", slack.url)
        monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
        found = Site(home, registry, (staging, production), slack)
        found.start()
        found.await_ticks("notifications", 1)
        yield found
        found.close()


def test_an_image_travels_to_production_once_it_is_approved_and_back(
    site: Site,
) -> None:
    # A new image of main: staging follows, and its checks run.
    first = site.push("a", "main", "v1.0.0")
    site.await_story((STAGING, first))
    assert site.staging.digest() == first and site.staging.settle()
    assert site.production.images() == FIRST
    (run,) = site.runs(STAGING)
    story = [(STAGING, first)]
    # Production is refused as long as nobody approved.
    site.await_ticks("release_production_sensor")
    assert site.runs(PRODUCTION) == []
    op = {"release__production": {"config": {"release": "v1.0.0"}}}
    refused = site.launch(PRODUCTION, op)
    assert refused.status == dg.DagsterRunStatus.FAILURE
    story.append(("refusal", first))
    site.await_story(*story)
    assert "v1.0.0 is not approved" in site.entries()[-1].why
    assert site.production.images() == FIRST
    # Once it is approved, it is done once.
    assert site.approve("v1.0.0").exit_code == 0
    story += [("approval", first), (PRODUCTION, first)]
    site.await_story(*story)
    given = site.entries()[2]
    assert given.who.startswith("user ") and given.why == "tested by the risk team"
    assert site.production.digest() == first and site.production.settle()
    site.await_ticks("release_production_sensor")
    assert len(site.runs(PRODUCTION)) == 2
    # The next version fails its check in production: the one before runs again.
    second = site.push("b", "main", "v1.1.0", fault="contract", where="production")
    story.append((STAGING, second))
    site.await_story(*story)
    assert site.approve("v1.1.0").exit_code == 0
    story += [("approval", second), ("release_failure", second)]
    site.await_story(*story)
    assert site.production.digest() == first and site.production.settle()
    assert site.staging.digest() == second
    # A good one, and a person who takes it back.
    third = site.push("c", "main", "v1.2.0")
    story.append((STAGING, third))
    site.await_story(*story)
    assert site.approve("v1.2.0").exit_code == 0
    story += [("approval", third), (PRODUCTION, third)]
    site.await_story(*story)
    back = site.launch("release_rollback", {})
    assert back.status == dg.DagsterRunStatus.SUCCESS
    story.append(("rollback", first))
    site.await_story(*story)
    assert site.production.digest() == first and site.production.settle()
    for sensor in ("release_staging_sensor", "release_production_sensor"):
        site.await_ticks(sensor)
    site.await_story(*story)
    # Slack was told of each, once.
    expected = [
        f"release main ({first[7:19]}) runs in staging",
        f"release v1.0.0 ({first[7:19]}) was refused for production",
        f"release v1.0.0 ({first[7:19]}) was approved for production",
        f"release v1.0.0 ({first[7:19]}) runs in production*",
        f"release v1.1.0 ({second[7:19]}) failed in production",
        f"release v1.2.0 ({third[7:19]}) runs in production*",
        f"release v1.0.0 ({first[7:19]}) runs in production again",
    ]
    for text in expected:
        await_true(lambda text=text: site.told(text), f"Slack was told: {text}")
        assert sum(text in message for message in site.slack.texts) == 1


def test_what_failed_in_staging_is_refused_for_production(site: Site) -> None:
    bad = site.push("a", "main", "v1.0.0", fault="crash")
    site.await_story(("release_failure", bad))
    assert site.staging.images() == FIRST and site.staging.settle()
    assert site.approve("v1.0.0").exit_code == 0
    site.await_story(("release_failure", bad), ("approval", bad), ("refusal", bad))
    assert "v1.0.0 failed in staging" in site.entries()[-1].why
    assert site.production.images() == FIRST
    site.await_ticks("release_production_sensor")
    assert len(site.runs(PRODUCTION)) == len(site.runs(STAGING)) == 1
    for text in ("failed in staging", "was refused for production"):
        await_true(lambda text=text: site.told(text), f"Slack was told: {text}")


def test_the_same_digest_again_and_an_outage_of_the_registry_change_nothing(
    site: Site,
) -> None:
    first = site.push("a", "main")
    site.await_story((STAGING, first))
    patches = len(site.staging.api.patches)
    # Pushed twice: the tags lead to the same digest.
    assert site.push("a", "main", "v1.0.0") == first
    site.await_ticks("release_staging_sensor")
    site.registry.stop()
    site.await_ticks("release_staging_sensor", 1)
    tick, *_ = site.await_ticks("release_staging_sensor", 1)
    assert "the connection failed" in str(tick.tick_data.skip_reason)
    assert tick.status.value == "SKIPPED"
    site.registry.start()
    site.await_ticks("release_staging_sensor")
    assert site.story() == [(STAGING, first)]
    assert len(site.staging.api.patches) == patches
    assert len(site.runs(STAGING)) == 1
    # What was pushed after it is followed.
    second = site.push("b", "main")
    site.await_story((STAGING, first), (STAGING, second))


def test_a_daemon_that_is_killed_in_the_middle_changes_nothing(site: Site) -> None:
    """Other moments of a delivery are those of `test_delivery_crashes`."""
    first = site.push("a", "main")
    await_true(lambda: site.staging.launches, "it is in the middle of the checks")
    site.kill()
    site.start()
    site.await_story((STAGING, first))
    assert site.staging.digest() == first and site.staging.settle()
    (entry,) = site.entries()
    assert entry.evidence["attempt"] == 1 and entry.evidence["before"] == FIRST
    # What the killed run had started was taken up, and not started again.
    assert site.staging.launches == 1
    before = site.staging.images()
    site.await_ticks("release_staging_sensor")
    assert site.staging.images() == before
    site.await_story((STAGING, first))
