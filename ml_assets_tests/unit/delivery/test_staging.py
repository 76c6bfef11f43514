"""A release in staging: deployed, checked, and reverted when it fails."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ml_assets.delivery import rollout
from ml_assets.delivery.attempts import Attempts
from ml_assets.delivery.errors import AlreadyDoneError
from ml_assets.delivery.webserver import Webserver
from ml_assets.state.locks import deployer_lock
from ml_assets.targets.clusters import ClusterError
from ml_assets.targets.kubernetes import ANNOTATION as PLAN
from ml_assets_tests.kits.environment import CODE, FIRST, IDLE, SERVERS
from ml_assets_tests.kits.oci import COMMITS
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


def test_a_release_is_deployed_everywhere_and_passes(site: ReleaseSite) -> None:
    release = site.release("a")
    done = site.stage(release)
    assert done.is_deployed
    assert site.staging.images() == {
        CODE: release.images["base"],
        SERVERS: release.images["production"],
        IDLE: release.images["production"],
    }
    assert site.staging.settle()
    assert [result.name for result in done.checks] == [
        *("code_location", "smoke", "data_quality", "model_contract", "latency")
    ]
    assert all(result.passed for result in done.checks)
    (entry,) = site.entries()
    assert (entry.kind, entry.version) == ("release_staging", release.digest)
    assert entry.evidence["before"] == FIRST
    assert entry.evidence["commit"] == COMMITS["a"]
    assert entry.evidence["from"] == FIRST[CODE]


def test_model_servers_change_before_the_code_location(site: ReleaseSite) -> None:
    site.stage(site.release("a"))
    order = list(dict.fromkeys(name for name, _ in site.staging.api.patches))
    assert order[-1] == CODE and {*order} == {*FIRST}


def test_a_release_that_passed_is_not_deployed_again(site: ReleaseSite) -> None:
    release = site.release("a")
    site.stage(release)
    patches = len(site.staging.api.patches)
    with pytest.raises(AlreadyDoneError, match="was tried in staging, entry 1"):
        site.stage(release)
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
def test_what_fails_is_reverted_to_what_ran_before(
    site: ReleaseSite, fault: str, reason: str
) -> None:
    good, bad = site.release("a"), site.release("b")
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
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_RELEASE_PATIENCE", "4")
    release = site.release("a")
    site.staging.faults[release.digest] = "location"
    done = site.stage(release)
    assert "code_location: ml-assets does not load: NameError" in done.entry.why
    assert [
        result.name for result in done.checks if "not tried" in result.sentence
    ] == [*("smoke", "data_quality", "model_contract", "latency")]


def test_a_run_with_the_code_of_another_commit_fails_the_release(
    site: ReleaseSite,
) -> None:
    release = site.release("a")
    site.staging.commits[release.digest] = COMMITS["b"]
    done = site.stage(release)
    assert f"had the code of commit {COMMITS['b']}" in done.entry.why


def test_a_webserver_that_does_not_answer_for_a_while_fails_no_release(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, await_run = site.release("a"), Webserver.await_run

    def await_later(self: Webserver, run_id: str, patience: float) -> Any:
        monkeypatch.setattr(Webserver, "await_run", await_run)
        site.staging.hiccups = 2
        return await_run(self, run_id, patience)

    monkeypatch.setattr(Webserver, "await_run", await_later)
    assert site.stage(release).is_deployed
    assert site.staging.hiccups == 0 and site.staging.launches == 1


def test_a_release_that_failed_is_tried_again_only_if_asked(site: ReleaseSite) -> None:
    release = site.release("a")
    site.staging.faults[release.digest] = "crash"
    site.stage(release)
    site.staging.faults.clear()
    with pytest.raises(AlreadyDoneError, match="ImportError"):
        site.stage(release)
    assert site.stage(release, again=True).is_deployed
    assert site.kinds() == ["release_failure", "release_staging"]


def test_a_cluster_that_does_not_answer_is_no_fault_of_the_release(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = site.release("a")
    site.staging.api.fail(403, times=1, method="PATCH")
    with pytest.raises(ClusterError):
        site.stage(release)
    assert site.kinds() == []
    assert site.stage(release).is_deployed
    (entry,) = site.entries()
    assert entry.evidence["attempt"] == 1


def test_a_version_that_is_deployed_meanwhile_disturbs_nothing(
    site: ReleaseSite,
) -> None:
    release = site.release("a")

    def deploy(name: str, patch: Any) -> None:
        if name == SERVERS and rollout.ANNOTATION in str(patch):
            site.staging.api.before_patch = lambda name, patch: None
            threading.Timer(0.1, site.staging.api.edit, (SERVERS, pin)).start()

    def pin(found: Any) -> None:
        found["spec"]["template"]["metadata"]["annotations"][PLAN] = "2-def"

    site.staging.api.before_patch = deploy
    assert site.stage(release).is_deployed
    assert site.staging.api.annotation(SERVERS, PLAN) == "2-def"


def test_a_deployer_of_a_version_is_waited_for(site: ReleaseSite) -> None:
    release, patched = site.release("a"), threading.Event()
    site.staging.api.before_patch = lambda name, patch: patched.set()
    attempts = Attempts("staging")
    with ThreadPoolExecutor() as pool:
        with deployer_lock("census_income"):
            begun = pool.submit(site.stage, release)
            await_true(attempts.newest, "it has begun", 20)
            assert not patched.wait(1.0)
        assert begun.result(60).is_deployed


def test_what_cannot_be_reverted_is_recorded_and_returned_to_later(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_RELEASE_PATIENCE", "3")
    bad, good = site.release("a"), site.release("b")
    good_judge: Callable[[Any], str | None] = site.staging.api.judge
    site.staging.api.judge = lambda pod: (
        "the node is gone" if pod.name.startswith(CODE) else good_judge(pod)
    )
    done = site.stage(bad)
    assert done.entry.evidence["returned"] is False
    assert f"{CODE}: the rollout of" in done.entry.why
    site.staging.api.judge = good_judge
    assert site.stage(good).entry.evidence["before"] == FIRST
