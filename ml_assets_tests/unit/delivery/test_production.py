"""Releases into production and back: what is deployed, reverted and refused."""

from typing import Any

import pytest

from ml_assets.delivery.candidates import open_approval
from ml_assets.delivery.errors import AlreadyDoneError, RefusedError
from ml_assets.delivery.releases import resolve
from ml_assets.spec.reserved import RELEASE
from ml_assets_tests.kits.environment import FIRST
from ml_assets_tests.kits.ledger_rows import forge
from ml_assets_tests.kits.oci import COMMITS, build
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


def test_an_approved_version_is_deployed_once(site: ReleaseSite) -> None:
    digest = site.released("a", "v1.0.0")
    assert site.production.digest() == digest and site.production.settle()
    assert site.staging.images() == FIRST
    last = site.entries()[-1]
    assert (last.kind, last.evidence["name"]) == ("release_production", "v1.0.0")
    assert "approved by user ann" in last.why
    patches = len(site.production.api.patches)
    with pytest.raises(AlreadyDoneError, match="this approval of v1.0.0 was used"):
        site.promote()
    with pytest.raises(AlreadyDoneError):
        site.promote("v1.0.0")
    assert len(site.production.api.patches) == patches
    assert len(site.kinds()) == 3


def test_without_an_approval_it_is_refused_each_time_it_is_asked_for(
    site: ReleaseSite,
) -> None:
    site.passed("a", "v1.0.0")
    with pytest.raises(AlreadyDoneError, match="nothing was approved yet"):
        site.promote()
    for _ in range(2):
        with pytest.raises(RefusedError, match="v1.0.0 is not approved"):
            site.promote("v1.0.0")
    assert site.kinds() == ["release_staging", "refusal", "refusal"]
    # That does not speak against it later.
    site.approve("v1.0.0")
    assert site.promote().is_deployed


def test_main_is_refused_even_if_its_digest_was_approved(site: ReleaseSite) -> None:
    digest = site.passed("a", "v1.0.0")
    site.registry.push(build(COMMITS["a"]), "main")
    site.approve("v1.0.0")
    with pytest.raises(RefusedError, match="main is no version"):
        site.promote("main")
    assert site.entries()[-1].version == digest
    assert site.production.images() == FIRST


def test_a_tag_that_was_moved_after_its_approval_is_refused(site: ReleaseSite) -> None:
    site.passed("a", "v1.0.0")
    site.approve("v1.0.0")
    site.push("b", "v1.0.0")
    with pytest.raises(RefusedError, match="and not at the sha256:.* approved"):
        site.promote()
    assert site.production.images() == FIRST
    # The refusal is final: another approval is needed.
    with pytest.raises(AlreadyDoneError, match="was used: refusal"):
        site.promote()
    assert "was used: refusal" in str(open_approval())


def test_what_a_dead_run_began_is_reverted_if_it_may_not_go_on(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    site.passed("a", "v1.0.0")
    site.approve("v1.0.0")
    with monkeypatch.context() as patch:
        patch.setattr("ml_assets.delivery.checks.run", die)
        with pytest.raises(SystemExit):
            site.promote()
    assert site.production.images() != FIRST
    # Somebody asks for another version, which does not concern it.
    site.passed("c", "v2.0.0")
    with pytest.raises(RefusedError, match="v2.0.0 is not approved"):
        site.promote("v2.0.0")
    assert site.production.images() != FIRST
    site.push("b", "v1.0.0")
    with pytest.raises(RefusedError, match="v1.0.0 points at"):
        site.promote()
    assert site.production.images() == FIRST and site.production.settle()
    assert site.kinds()[-2:] == ["refusal", "release_failure"]


def test_a_ledger_that_was_edited_lets_nothing_through(site: ReleaseSite) -> None:
    site.push("a", "v1.0.0")
    resolve(site.repository, "v1.0.0")
    digest = site.passed("b", "v1.1.0")
    site.approve("v1.1.0")
    forge("it was tested", "it was TESTED", RELEASE)
    with pytest.raises(RefusedError, match="cannot be trusted: entry 2"):
        site.promote()
    assert site.production.images() == FIRST and digest


def test_what_a_later_image_stopped_goes_nowhere(site: ReleaseSite) -> None:
    digest = site.passed("a", "v1.0.0")
    site.approve("v1.0.0")
    later: Any = "quarantine"
    site.ledger.append(RELEASE, later, digest, None, "ann", "it leaks", {})
    assert open_approval() == "v1.0.0 is on hold: quarantine, entry 3"
    with pytest.raises(RefusedError, match="is on hold: quarantine"):
        site.promote()
    assert site.production.images() == FIRST


def test_what_fails_its_checks_in_production_is_reverted(site: ReleaseSite) -> None:
    good = site.released("a", "v1.0.0")
    bad = site.passed("b", "v1.1.0")
    site.production.faults[bad] = "contract"
    site.approve("v1.1.0")
    done = site.promote()
    assert not done.is_deployed
    assert site.production.digest() == good and site.production.settle()
    last = site.entries()[-1]
    assert last.evidence["environment"] == "production"
    assert last.evidence["returned"] is True and last.evidence["from"] == good
    with pytest.raises(AlreadyDoneError, match="was used: release_failure"):
        site.promote()
    # After a new approval it is tried once more.
    site.production.faults.clear()
    site.approve("v1.1.0")
    assert site.promote().is_deployed


def test_a_rollback_returns_to_the_release_before(site: ReleaseSite) -> None:
    digests = [site.released(*item) for item in (("a", "v1.0.0"), ("b", "v1.1.0"))]
    done = site.roll_back(key="rollback:x")
    assert done.entry.kind == "rollback" and done.entry.why == "it is slow"
    assert done.entry.version == digests[0]
    assert done.entry.evidence["from"] == digests[1]
    assert site.production.digest() == digests[0] and site.production.settle()
    # A run that is repeated does nothing more.
    assert site.roll_back(key="rollback:x").entry == done.entry
    # One further: what ran before the first release.
    assert site.roll_back().entry.evidence["environment"] == "production"
    assert site.production.images() == FIRST
    with pytest.raises(RefusedError, match="there is no release before"):
        site.roll_back()


def test_a_rollback_may_name_its_release(site: ReleaseSite) -> None:
    digests = [
        site.released(*item)
        for item in (("a", "v1.0.0"), ("b", "v1.1.0"), ("c", "v1.2.0"))
    ]
    with pytest.raises(RefusedError, match="there were: v1.0.0, v1.1.0, v1.2.0"):
        site.roll_back("v9.0.0")
    with pytest.raises(RefusedError, match="v1.2.0 is the release that is in"):
        site.roll_back("v1.2.0")
    assert site.roll_back("v1.0.0").entry.version == digests[0]
    assert site.roll_back(digests[1]).entry.version == digests[1]
    assert site.production.digest() == digests[1]


def test_there_is_nothing_to_return_to_before_the_first_release(
    site: ReleaseSite,
) -> None:
    with pytest.raises(RefusedError, match="no release was deployed"):
        site.roll_back()
