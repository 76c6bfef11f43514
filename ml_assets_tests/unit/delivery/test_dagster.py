"""Releases in Dagster: what runs show, what sensors ask for, and when they stop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.assets import delivery as assets
from ml_assets.assets.delivery import release_key
from ml_assets.automation import delivery as automation
from ml_assets.automation.delivery import TRIES
from ml_assets.delivery.checks import DESCRIPTIONS
from ml_assets.delivery.releases import Releases
from ml_assets.lifecycle.run_events import DELIVERY_TAG as TAG
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.environment import FIRST, Environment, environments
from ml_assets_tests.kits.oci import COMMITS, RegistryDouble, build
from ml_assets_tests.kits.sigstore import signing

pytestmark = pytest.mark.slow

STARTED = dg.DagsterRunStatus.STARTED


class Site:
    """A code location with releases, a registry and two environments."""

    def __init__(
        self,
        home: Path,
        instance: dg.DagsterInstance,
        registry: RegistryDouble,
        environments: tuple[Environment, Environment],
    ) -> None:
        self.home, self.instance, self.registry = home, instance, registry
        self.staging, self.production = environments
        self.definitions = dg.Definitions.merge(
            automation.build(), dg.Definitions(executor=dg.in_process_executor)
        )

    def push(self, commit: str, *names: str) -> str:
        images = build(COMMITS[commit])
        for environment in (self.staging, self.production):
            environment.commits[images["base"].digest] = COMMITS[commit]
        return self.registry.push(images, *names)

    def run(self, job: str, **config: Any) -> dg.ExecuteInProcessResult:
        op = {"rollback": "release__roll_back"}.get(job, f"release__{job}")
        return self.definitions.resolve_job_def(f"release_{job}").execute_in_process(
            instance=self.instance,
            run_config={"ops": {op: {"config": config}}},
            raise_on_error=False,
        )

    def tick(self, name: str) -> Any:
        sensor = self.definitions.resolve_sensor_def(f"release_{name}_sensor")
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions
        )
        return sensor.evaluate_tick(context)

    def checks(self, name: str) -> dict[str, tuple[bool, str]]:
        """Check to whether it passed last, and its sentence."""
        found = {}
        for check in DESCRIPTIONS:
            key = dg.AssetCheckKey(release_key(name), check)
            history = self.instance.event_log_storage.get_asset_check_execution_history(
                key, limit=1
            )
            event = history[0].event
            assert event is not None and event.dagster_event is not None
            data = event.dagster_event.asset_check_evaluation_data
            found[check] = (data.passed, str(data.description))
        return found

    def shown(self, name: str) -> dict[str, Any]:
        """The metadata of the last materialization; empty where there is none."""
        event = self.instance.get_latest_materialization_event(release_key(name))
        found = event.asset_materialization if event else None
        return {k: v.value for k, v in found.metadata.items()} if found else {}

    def kinds(self) -> list[str]:
        ledger = Ledger()
        assert ledger.verify(RELEASE) == []
        return [entry.kind for entry in ledger.entries(RELEASE)]

    def asked(self, status: dg.DagsterRunStatus, request: Any) -> None:
        """The run that a sensor asked for, as it ended."""
        self.instance.create_run_for_job(
            self.definitions.resolve_job_def("release_staging"),
            tags=dict(request.tags),
            status=status,
        )


@pytest.fixture
def site(
    home: Path,
    instance: dg.DagsterInstance,
    registry: RegistryDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    staging, production = environments(monkeypatch)
    monkeypatch.setattr(assets, "WAIT_SECONDS", 0)
    with staging.running(), production.running():
        monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
        signing(registry, monkeypatch, home)
        yield Site(home, instance, registry, (staging, production))


def test_a_release_shows_its_checks_its_commit_and_what_ran_before(site: Site) -> None:
    digest = site.push("a", "main")
    assert site.run("staging").success
    assert [passed for passed, _ in site.checks("staging").values()] == [True] * 5
    shown = site.shown("staging")
    assert shown["digest"] == digest and shown["commit"] == COMMITS["a"]
    assert shown["before"] == "old/base:0.1.0"
    assert shown["images"]["base"].endswith(digest)
    again = site.run("staging")
    assert again.success and site.kinds() == ["release_staging"]
    (event,) = again.asset_observations_for_node("release__staging")
    assert "was tried in staging" in str(event.metadata["skipped"].value)
    assert len(site.checks("staging")) == 5 and site.staging.launches == 1


def test_a_release_that_fails_shows_which_check_and_is_not_materialized(
    site: Site,
) -> None:
    digest = site.push("a", "main")
    site.staging.faults[digest] = "data"
    result = site.run("staging")
    assert not result.success
    assert "data_quality: data_quality is" in failure_of(result)
    checks = site.checks("staging")
    assert [name for name, (passed, _) in checks.items() if passed] == [
        *("code_location", "smoke")
    ]
    assert checks["latency"] == (False, "not tried, because data_quality failed")
    assert site.shown("staging") == {}
    site.staging.faults.clear()
    assert "was tried in staging" in failure_of(site.run("staging"))
    assert site.run("staging", again=True).success


def test_a_rollout_that_fails_leaves_no_check_that_passed(site: Site) -> None:
    digest = site.push("a", "main")
    site.staging.faults[digest] = "crash"
    assert not site.run("staging").success
    assert not any(passed for passed, _ in site.checks("staging").values())


def test_what_passes_is_tried_again_in_the_run(site: Site) -> None:
    site.push("a", "main")
    site.staging.api.fail(403, method="PATCH")
    result = site.run("staging")
    assert result.success and result.retry_attempts_for_node("release__staging") == 1
    assert site.kinds() == ["release_staging"]


def test_a_version_is_approved_and_released_and_rolled_back_by_runs(site: Site) -> None:
    digest = site.push("a", "main", "v1.0.0")
    site.run("staging")
    refused = site.run("production", release="v1.0.0")
    assert "v1.0.0 is not approved" in failure_of(refused)
    given = {"release": "v1.0.0", "reason": "tested", "who": "ann"}
    assert site.run("approval", **given).success
    shown = site.shown("approval")
    assert shown["who"].startswith("user ann, run ") and shown["why"] == "tested"
    assert shown["staging"] == "it passed in staging"
    assert site.run("production").success
    assert site.shown("production")["version"] == "v1.0.0"
    assert len(site.checks("production")) == 5
    assert site.production.digest() == digest
    assert site.run("production").success
    assert site.run("rollback", reason="it is slow").success
    assert site.shown("production")["before"] == digest
    assert site.production.images() == FIRST
    assert site.kinds() == [
        *("release_staging", "refusal", "approval", "release_production", "rollback")
    ]
    nothing = site.run("rollback")
    assert "there is no release before" in failure_of(nothing)


def test_the_sensor_asks_for_one_run_of_a_new_digest_and_shows_the_image(
    site: Site,
) -> None:
    assert site.tick("staging").skip_message == "no new image"
    digest = site.push("a", "main")
    result = site.tick("staging")
    (request,) = result.run_requests
    assert request.run_key == f"staging:{digest}:0"
    config = request.run_config["ops"]["release__staging"]["config"]
    assert config == {"release": digest}
    (event,) = result.asset_events
    assert event.asset_key == release_key("image")
    assert event.metadata["commit"].value == COMMITS["a"]
    assert event.tags["dagster/data_version"] == digest
    # As long as that run goes on, and once staging has a verdict, it asks no more.
    site.asked(STARTED, request)
    going_on = site.tick("staging")
    assert going_on.run_requests == [] and "goes on" in going_on.skip_message
    site.run("staging")
    (dead,) = site.instance.get_runs(dg.RunsFilter(statuses=[STARTED]))
    site.instance.report_run_failed(dead)
    assert site.tick("staging").skip_message == "no new image"


def test_a_run_that_died_is_asked_for_again_but_not_for_ever(site: Site) -> None:
    site.push("a", "main")
    keys = []
    for _ in range(TRIES):
        (request,) = site.tick("staging").run_requests
        keys.append(request.run_key)
        site.asked(dg.DagsterRunStatus.FAILURE, request)
    assert len({*keys}) == TRIES
    stopped = site.tick("staging")
    assert stopped.run_requests == []
    assert "3 runs did not come to an end" in stopped.skip_message
    # Another release is not held up by it.
    digest = site.push("b", "v1.0.0")
    (other,) = site.tick("staging").run_requests
    assert other.tags[TAG] == f"staging:{digest}"


def test_the_sensor_of_production_waits_for_staging_and_approval(site: Site) -> None:
    digest = site.push("a", "main", "v1.0.0")
    assert site.tick("production").skip_message == "nothing was approved yet"
    site.run("approval", release="v1.0.0", reason="tested", who="ann")
    waiting = site.tick("production")
    assert waiting.run_requests == []
    assert "has not been through staging yet" in waiting.skip_message
    site.run("staging")
    (request,) = site.tick("production").run_requests
    assert request.tags[TAG] == f"production:{digest}:1"
    site.run("production")
    assert "was used" in site.tick("production").skip_message


def test_a_registry_that_is_away_is_a_reason_to_skip(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    site.push("a", "main")
    site.registry.faults = [(503, {})] * 4
    skipped = site.tick("staging")
    assert skipped.run_requests == [] and "503" in skipped.skip_message
    assert Releases().polled() == {}
    assert len(site.tick("staging").run_requests) == 1


def test_without_a_repository_the_sensors_say_that_nothing_is_delivered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_RELEASE_REPOSITORY")
    for name in ("staging", "production"):
        assert "nothing is delivered" in site.tick(name).skip_message
    result = site.run("staging")
    assert "ML_ASSETS_RELEASE_REPOSITORY is not set" in failure_of(result)
