"""A real daemon and a real registry: images on their way to production and back.

The clusters, the webservers in them and Slack are servers on this machine that speak
their protocols; the registry is Debian's ``docker-registry``.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_assets_tests.kits.delivery_daemon import DeliveryDaemon
from ml_assets_tests.kits.environment import FIRST, environments
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.real_registry import real_registry
from ml_assets_tests.kits.sigstore import signing
from ml_assets_tests.kits.slack import slack_double

pytestmark = pytest.mark.slow

STAGING, PRODUCTION = "release_staging", "release_production"


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeliveryDaemon]:
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
        signing(registry, monkeypatch, home)
        found = DeliveryDaemon(home, registry, (staging, production), slack)
        found.start()
        found.await_ticks("notifications", 1)
        yield found
        found.close()


def test_an_image_travels_to_production_once_it_is_approved_and_back(
    site: DeliveryDaemon,
) -> None:
    # A new image of main: staging follows, and its checks run.
    first = site.push("a", "main", "v1.0.0")
    site.await_history((STAGING, first))
    assert site.staging.digest() == first and site.staging.settle()
    assert site.production.images() == FIRST
    (run,) = site.runs(STAGING)
    history = [(STAGING, first)]
    # Production is refused as long as nobody approved.
    site.await_ticks("release_production_sensor")
    assert site.runs(PRODUCTION) == []
    op = {"release__production": {"config": {"release": "v1.0.0"}}}
    refused = site.launch(PRODUCTION, op)
    assert refused.status == dg.DagsterRunStatus.FAILURE
    history.append(("refusal", first))
    site.await_history(*history)
    assert "v1.0.0 is not approved" in site.entries()[-1].why
    assert site.production.images() == FIRST
    # Once it is approved, it is done once.
    assert site.approve("v1.0.0").exit_code == 0
    history += [("approval", first), (PRODUCTION, first)]
    site.await_history(*history)
    given = site.entries()[2]
    assert given.who.startswith("user ") and given.why == "tested by the risk team"
    assert site.production.digest() == first and site.production.settle()
    site.await_ticks("release_production_sensor")
    assert len(site.runs(PRODUCTION)) == 2
    # The next version fails its check in production: the one before runs again.
    second = site.push("b", "main", "v1.1.0", fault="contract", where="production")
    history.append((STAGING, second))
    site.await_history(*history)
    assert site.approve("v1.1.0").exit_code == 0
    history += [("approval", second), ("release_failure", second)]
    site.await_history(*history)
    assert site.production.digest() == first and site.production.settle()
    assert site.staging.digest() == second
    # A good one, and a person who takes it back.
    third = site.push("c", "main", "v1.2.0")
    history.append((STAGING, third))
    site.await_history(*history)
    assert site.approve("v1.2.0").exit_code == 0
    history += [("approval", third), (PRODUCTION, third)]
    site.await_history(*history)
    back = site.launch("release_rollback", {})
    assert back.status == dg.DagsterRunStatus.SUCCESS
    history.append(("rollback", first))
    site.await_history(*history)
    assert site.production.digest() == first and site.production.settle()
    for sensor in ("release_staging_sensor", "release_production_sensor"):
        site.await_ticks(sensor)
    site.await_history(*history)
    # Slack has a message on each, once.
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
        await_true(lambda text=text: site.is_in_slack(text), f"Slack has: {text}")
        assert sum(text in message for message in site.slack.texts) == 1


def test_what_failed_in_staging_is_refused_for_production(site: DeliveryDaemon) -> None:
    bad = site.push("a", "main", "v1.0.0", fault="crash")
    site.await_history(("release_failure", bad))
    assert site.staging.images() == FIRST and site.staging.settle()
    assert site.approve("v1.0.0").exit_code == 0
    site.await_history(("release_failure", bad), ("approval", bad), ("refusal", bad))
    assert "v1.0.0 failed in staging" in site.entries()[-1].why
    assert site.production.images() == FIRST
    site.await_ticks("release_production_sensor")
    assert len(site.runs(PRODUCTION)) == len(site.runs(STAGING)) == 1
    for text in ("failed in staging", "was refused for production"):
        await_true(lambda text=text: site.is_in_slack(text), f"Slack has: {text}")


def test_the_same_digest_again_and_an_outage_of_the_registry_change_nothing(
    site: DeliveryDaemon,
) -> None:
    first = site.push("a", "main")
    site.await_history((STAGING, first))
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
    assert site.history() == [(STAGING, first)]
    assert len(site.staging.api.patches) == patches
    assert len(site.runs(STAGING)) == 1
    # What was pushed after it is delivered.
    second = site.push("b", "main")
    site.await_history((STAGING, first), (STAGING, second))


def test_a_daemon_that_is_killed_in_the_middle_changes_nothing(
    site: DeliveryDaemon,
) -> None:
    """Other moments of a delivery are those of `test_delivery_crashes`."""
    first = site.push("a", "main")
    await_true(lambda: site.staging.launches, "it is in the middle of the checks")
    site.kill()
    site.start()
    site.await_history((STAGING, first))
    assert site.staging.digest() == first and site.staging.settle()
    (entry,) = site.entries()
    assert entry.evidence["attempt"] == 1 and entry.evidence["before"] == FIRST
    # What the killed run had started was taken up, and not started again.
    assert site.staging.launches == 1
    before = site.staging.images()
    site.await_ticks("release_staging_sensor")
    assert site.staging.images() == before
    site.await_history((STAGING, first))
