"""A release in staging: deployed, checked, and taken back when it fails."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ml_assets.delivery import rollout
from ml_assets.delivery.environment_session import taken
from ml_assets.delivery.releases import Release, ReleaseStore, resolve
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.attempts import AttemptStore
from ml_assets.delivery.errors import AlreadyDoneError
from ml_assets.delivery.promotion import stage
from ml_assets.delivery.webserver import Webserver
from ml_assets.records.ledger_entry import Entry
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.targets.clusters import ClusterError, OvertakenError
from ml_assets.targets.kubernetes import ANNOTATION as PLAN
from ml_assets_tests.kits.environment import (
    CODE,
    FIRST,
    IDLE,
    SERVERS,
    Environment,
    environments,
)
from ml_assets_tests.kits.oci import COMMITS, build, registry_double
from ml_assets_tests.kits.processes import await_true

pytestmark = pytest.mark.slow


class Site:
    """A registry with images of commits, staging, and the ledger of releases."""

    def __init__(self, home: Path, environment: Environment) -> None:
        self.home = home
        self.staging = environment
        self.ledger = Ledger(home)

    def image(self, commit: str) -> Release:
        """The release of a commit, as it was seen in a registry."""
        with registry_double() as registry:
            found = build(COMMITS[commit])
            digest = registry.push(found, "main")
            self.staging.commits[digest] = COMMITS[commit]
            repository = Repository(registry.image)
            return resolve(repository, ReleaseStore(self.home), "main")

    def stage(self, image: Release, again: bool = False) -> Any:
        return stage(self.home, image, "sensor release", "run-1", again)

    def entries(self) -> list[Entry]:
        assert self.ledger.verify(RELEASE) == []
        return self.ledger.entries(RELEASE)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    staging, _ = environments(monkeypatch)
    with staging.running():
        yield Site(home, staging)


def test_a_release_is_deployed_everywhere_and_passes(site: Site) -> None:
    image = site.image("a")
    done = site.stage(image)
    assert done.is_deployed
    assert site.staging.images() == {
        CODE: image.images["base"],
        SERVERS: image.images["production"],
        IDLE: image.images["production"],
    }
    assert site.staging.settle()
    assert [finding.name for finding in done.findings] == [
        *("code_location", "smoke", "data_quality", "model_contract", "latency")
    ]
    assert all(finding.passed for finding in done.findings)
    (entry,) = site.entries()
    assert (entry.kind, entry.version) == ("release_staging", image.digest)
    assert entry.evidence["before"] == FIRST
    assert entry.evidence["commit"] == COMMITS["a"]
    assert entry.evidence["from"] == FIRST[CODE]


def test_model_servers_change_before_the_code_location(site: Site) -> None:
    site.stage(site.image("a"))
    order = list(dict.fromkeys(name for name, _ in site.staging.api.patches))
    assert order[-1] == CODE and {*order} == {*FIRST}


def test_a_release_that_passed_is_not_deployed_again(site: Site) -> None:
    image = site.image("a")
    site.stage(image)
    patches = len(site.staging.api.patches)
    with pytest.raises(AlreadyDoneError, match="was tried in staging, entry 1"):
        site.stage(image)
    assert len(site.staging.api.patches) == patches
    assert site.staging.launches == 1


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("crash", "ImportError: no module named ml_assets.defs.new"),
        ("smoke", "smoke: pipeline is"),
        ("data", "data_quality: data_quality is"),
        ("contract", "model_contract: census_income: the label is 'rich'"),
        pytest.param("slow", "latency: p99 of 200 requests", marks=pytest.mark.slow),
    ],
)
def test_what_fails_is_taken_back_to_what_ran_before(
    site: Site, fault: str, reason: str
) -> None:
    good, bad = site.image("a"), site.image("b")
    site.stage(good)
    before = site.staging.images()
    site.staging.faults[bad.digest] = fault
    done = site.stage(bad)
    assert not done.is_deployed
    assert site.staging.images() == before and site.staging.settle()
    last = site.entries()[-1]
    assert (last.kind, last.version) == ("release_failure", bad.digest)
    assert last.evidence["environment"] == "staging"
    assert last.evidence["returned"] is True
    assert reason in last.why
    assert "what ran before runs again" in last.why


def test_a_code_location_that_does_not_load_fails_the_release(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_RELEASE_PATIENCE", "4")
    image = site.image("a")
    site.staging.faults[image.digest] = "location"
    done = site.stage(image)
    assert "code_location: ml-assets does not load: NameError" in done.entry.why
    assert [f.name for f in done.findings if "not tried" in f.sentence] == [
        *("smoke", "data_quality", "model_contract", "latency")
    ]


def test_a_run_with_the_code_of_another_commit_fails_the_release(site: Site) -> None:
    image = site.image("a")
    site.staging.commits[image.digest] = COMMITS["b"]
    done = site.stage(image)
    assert f"had the code of commit {COMMITS['b']}" in done.entry.why


def test_a_webserver_that_does_not_answer_for_a_while_fails_no_release(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, look = site.image("a"), Webserver.follow

    def follow(self: Webserver, run_id: str, patience: float) -> Any:
        monkeypatch.setattr(Webserver, "follow", look)
        site.staging.hiccups = 2
        return look(self, run_id, patience)

    monkeypatch.setattr(Webserver, "follow", follow)
    assert site.stage(image).is_deployed
    assert site.staging.hiccups == 0 and site.staging.launches == 1


def test_a_release_that_failed_is_tried_again_only_if_asked(site: Site) -> None:
    image = site.image("a")
    site.staging.faults[image.digest] = "crash"
    site.stage(image)
    site.staging.faults.clear()
    with pytest.raises(AlreadyDoneError, match="ImportError"):
        site.stage(image)
    assert site.stage(image, again=True).is_deployed
    assert site.kinds() == ["release_failure", "release_staging"]


def test_a_cluster_that_does_not_answer_says_nothing_of_the_release(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = site.image("a")
    site.staging.api.fail(403, times=1, method="PATCH")
    with pytest.raises(ClusterError):
        site.stage(image)
    assert site.kinds() == []
    assert site.stage(image).is_deployed
    (entry,) = site.entries()
    assert entry.evidence["attempt"] == 1


def die(site: Site, image: Release, moment: str, monkeypatch: Any) -> None:
    """Deliver until a moment, and no further, as a process that is killed."""

    def stop(*_: object, **__: object) -> None:
        raise SystemExit

    places = {
        "begun": ("ml_assets.delivery.rollout.Fleet.put", stop),
        "put": ("ml_assets.delivery.checks.run", stop),
        "failed": ("ml_assets.delivery.rollout.Fleet.take_back", stop),
        "returned": ("ml_assets.delivery.deploy._end", stop),
        "passed": ("ml_assets.delivery.deploy._end", stop),
    }
    with monkeypatch.context() as patch:
        name, instead = places[moment]
        patch.setattr(name, instead)
        if moment in ("failed", "returned"):
            site.staging.faults[image.digest] = "smoke"
        with pytest.raises(SystemExit):
            site.stage(image)


@pytest.mark.parametrize("moment", ["begun", "put", "passed"])
def test_what_a_killed_process_began_is_ended_by_the_next(
    site: Site, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = site.image("a")
    die(site, image, moment, monkeypatch)
    assert site.kinds() == []
    assert site.stage(image).is_deployed
    assert site.kinds() == ["release_staging"]
    assert site.staging.launches == 1
    assert site.entries()[0].evidence["attempt"] == 1


@pytest.mark.parametrize("moment", ["failed", "returned"])
def test_a_failure_that_a_killed_process_saw_is_not_tried_again(
    site: Site, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = site.image("a")
    die(site, image, moment, monkeypatch)
    site.staging.faults.clear()
    assert not site.stage(image).is_deployed
    assert site.staging.images() == FIRST and site.staging.settle()
    assert site.kinds() == ["release_failure"]


def test_an_attempt_that_nobody_goes_on_with_is_taken_back_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.image("a"), site.image("b")
    die(site, first, "put", monkeypatch)
    assert site.stage(second).is_deployed
    failed, passed = site.entries()
    assert (failed.kind, failed.version) == ("release_failure", first.digest)
    assert (passed.kind, passed.version) == ("release_staging", second.digest)
    # Not what the first one left half done.
    assert passed.evidence["before"] == FIRST


def test_a_zombie_changes_nothing_after_a_later_attempt(site: Site) -> None:
    old, new = site.image("a"), site.image("b")
    site.stage(old)
    attempt = AttemptStore(site.home, "staging").newest()
    assert attempt is not None
    site.stage(new)
    before = site.staging.images()
    with taken(site.home, "staging") as place:
        for act in (place.fleet.put, place.fleet.take_back):
            with pytest.raises(OvertakenError, match="it has the mark 2"):
                act(attempt)
    assert site.staging.images() == before


def test_a_version_that_is_deployed_meanwhile_disturbs_nothing(site: Site) -> None:
    image = site.image("a")

    def deploy(name: str, patch: Any) -> None:
        if name == SERVERS and rollout.ANNOTATION in str(patch):
            site.staging.api.before_patch = lambda name, patch: None
            threading.Timer(0.1, site.staging.api.edit, (SERVERS, pin)).start()

    def pin(found: Any) -> None:
        found["spec"]["template"]["metadata"]["annotations"][PLAN] = "2-def"

    site.staging.api.before_patch = deploy
    assert site.stage(image).is_deployed
    assert site.staging.api.annotation(SERVERS, PLAN) == "2-def"


def test_a_deployer_of_a_version_is_waited_for(site: Site) -> None:
    image, patched = site.image("a"), threading.Event()
    site.staging.api.before_patch = lambda name, patch: patched.set()
    attempts = AttemptStore(site.home, "staging")
    with ThreadPoolExecutor() as pool:
        with PlanStore(site.home).lock("census_income"):
            begun = pool.submit(site.stage, image)
            await_true(attempts.newest, "it has begun", 20)
            assert not patched.wait(1.0)
        assert begun.result(60).is_deployed


def test_of_two_runs_at_once_one_has_an_effect(site: Site) -> None:
    image = site.image("a")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(site.stage, image) for _ in range(2)]
        errors = [run.exception(60) for run in runs]
    assert sorted(type(error) for error in errors if error) == [AlreadyDoneError]
    assert site.kinds() == ["release_staging"] and site.staging.launches == 1


def test_what_cannot_be_taken_back_is_told_and_returned_to_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_RELEASE_PATIENCE", "3")
    bad, good = site.image("a"), site.image("b")
    good_judge: Callable[[Any], str | None] = site.staging.api.judge
    site.staging.api.judge = lambda pod: (
        "the node is gone" if pod.name.startswith(CODE) else good_judge(pod)
    )
    done = site.stage(bad)
    assert done.entry.evidence["returned"] is False
    assert f"{CODE}: the rollout of" in done.entry.why
    site.staging.api.judge = good_judge
    assert site.stage(good).entry.evidence["before"] == FIRST
