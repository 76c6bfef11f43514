"""Attempts of processes that were killed, that come late, or at the same time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from ml_assets.delivery.attempts import Attempts
from ml_assets.delivery.environment_session import acquire
from ml_assets.delivery.errors import AlreadyDoneError
from ml_assets.delivery.releases import Release
from ml_assets.targets.clusters import OvertakenError
from ml_assets_tests.kits.environment import FIRST
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


def die(site: ReleaseSite, release: Release, moment: str, monkeypatch: Any) -> None:
    """Deliver until a moment, and no further, as a process that is killed."""

    def stop(*_: object, **__: object) -> None:
        raise SystemExit

    moments = {
        "begun": ("ml_assets.delivery.rollout.Fleet.deploy", stop),
        "deployed": ("ml_assets.delivery.checks.run", stop),
        "failed": ("ml_assets.delivery.rollout.Fleet.revert", stop),
        "reverted": ("ml_assets.delivery.deploy._end", stop),
        "passed": ("ml_assets.delivery.deploy._end", stop),
    }
    with monkeypatch.context() as patch:
        name, instead = moments[moment]
        patch.setattr(name, instead)
        if moment in ("failed", "reverted"):
            site.staging.faults[release.digest] = "smoke"
        with pytest.raises(SystemExit):
            site.stage(release)


@pytest.mark.parametrize("moment", ["begun", "deployed", "passed"])
def test_what_a_killed_process_began_is_ended_by_the_next(
    site: ReleaseSite, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = site.release("a")
    die(site, release, moment, monkeypatch)
    assert site.kinds() == []
    assert site.stage(release).is_deployed
    assert site.kinds() == ["release_staging"]
    assert site.staging.launches == 1
    assert site.entries()[0].evidence["attempt"] == 1


@pytest.mark.parametrize("moment", ["failed", "reverted"])
def test_a_failure_that_a_killed_process_saw_is_not_tried_again(
    site: ReleaseSite, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = site.release("a")
    die(site, release, moment, monkeypatch)
    site.staging.faults.clear()
    assert not site.stage(release).is_deployed
    assert site.staging.images() == FIRST and site.staging.settle()
    assert site.kinds() == ["release_failure"]


def test_an_attempt_that_nobody_goes_on_with_is_reverted_first(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.release("a"), site.release("b")
    die(site, first, "deployed", monkeypatch)
    assert site.stage(second).is_deployed
    failed, passed = site.entries()
    assert (failed.kind, failed.version) == ("release_failure", first.digest)
    assert (passed.kind, passed.version) == ("release_staging", second.digest)
    # Not what the first one left half done.
    assert passed.evidence["before"] == FIRST


def test_a_zombie_changes_nothing_after_a_later_attempt(site: ReleaseSite) -> None:
    old, new = site.release("a"), site.release("b")
    site.stage(old)
    attempt = Attempts("staging").newest()
    assert attempt is not None
    site.stage(new)
    before = site.staging.images()
    with acquire("staging") as session:
        for act in (session.fleet.deploy, session.fleet.revert):
            with pytest.raises(OvertakenError, match="it has the mark 2"):
                act(attempt)
    assert site.staging.images() == before


def test_of_two_runs_at_once_one_has_an_effect(site: ReleaseSite) -> None:
    release = site.release("a")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(site.stage, release) for _ in range(2)]
        errors = [run.exception(60) for run in runs]
    assert sorted(type(error) for error in errors if error) == [AlreadyDoneError]
    assert site.kinds() == ["release_staging"] and site.staging.launches == 1


def test_an_attempt_records_all_that_the_next_needs(site: ReleaseSite) -> None:
    site.released("a", "v1.0.0")
    with acquire("production") as session:
        attempt = session.attempts.newest()
        assert attempt is not None and session.attempts.unfinished() is None
        assert attempt.before == FIRST
        assert msgspec.to_builtins(attempt)["name"] == "v1.0.0"
