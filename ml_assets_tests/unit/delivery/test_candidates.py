"""What the sensors poll: new releases in the registry, and open approvals."""

import pytest

from ml_assets.delivery.candidates import OpenApproval, open_approval, poll_registry
from ml_assets.delivery.promotion import stage
from ml_assets.delivery.releases import Releases
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


def test_a_poll_returns_what_moved_and_what_was_not_tried(site: ReleaseSite) -> None:
    assert poll_registry() == ({}, [], None)
    first = site.push("a", "main")
    seen = poll_registry()
    assert [*seen.moved] == ["main"]
    assert [image.digest for image in seen.untried] == [first]
    # Nothing moved, and it is still untried.
    assert poll_registry() == ({}, seen.untried, None)
    stage(site.repository, seen.untried[0], "sensor", site.run_id)
    assert poll_registry().untried == []
    # The newest version is tried as well, and an older one once it is approved.
    older, newest = site.push("b", "v1.0.0"), site.push("c", "v1.1.0")
    assert [image.digest for image in poll_registry().untried] == [newest]
    site.approve("v1.0.0")
    assert [image.digest for image in poll_registry().untried] == [newest, older]


@pytest.mark.parametrize("fault", [503, 403])
def test_a_registry_that_fails_moves_nothing(
    site: ReleaseSite, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    site.push("a", "main")
    before = Releases().polled()
    site.registry.faults = [(fault, {})] * 20
    assert str(fault) in str(poll_registry().problem)
    assert Releases().polled() == before


def test_an_approval_is_open_until_it_was_used(site: ReleaseSite) -> None:
    assert open_approval() == "nothing was approved yet"
    site.push("a", "v1.0.0")
    given = site.approve("v1.0.0")
    assert open_approval() == "v1.0.0 has not been through staging yet"
    site.passed("a", "v1.0.0")
    assert open_approval() == OpenApproval(f"production:{given.version}:{given.seq}")
    site.promote()
    assert "this approval of v1.0.0 was used" in str(open_approval())


def test_without_a_repository_nothing_is_polled(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_RELEASE_REPOSITORY")
    off = "ML_ASSETS_RELEASE_REPOSITORY is not set: nothing is delivered"
    assert poll_registry().problem == off and open_approval() == off
    assert site.registry.requests == []
