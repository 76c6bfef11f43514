"""Approvals, production, and the way back: what is done, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets.delivery.approvals import approve
from ml_assets.delivery.deploy import DeliveryResult
from ml_assets.delivery.environment_session import taken
from ml_assets.delivery.environments import SettingsError, cluster, settings
from ml_assets.delivery.releases import ReleaseStore, UnknownReleaseError, resolve
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.promotion import promote
from ml_assets.delivery.errors import AlreadyDoneError, RefusedError
from ml_assets.delivery.candidates import OpenApproval, look, open_approval
from ml_assets.delivery.promotion import roll_back
from ml_assets.delivery.promotion import stage
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.environment import FIRST, Environment, environments
from ml_assets_tests.kits.oci import COMMITS, RegistryDouble, build, registry_double

pytestmark = pytest.mark.slow


class Site:
    """A registry and two environments; the numbers of runs are given out here."""

    def __init__(
        self, home: Path, registry: RegistryDouble, places: tuple[Environment, ...]
    ) -> None:
        self.home, self.registry = home, registry
        self.repository = Repository(registry.image)
        self.staging, self.production = places
        self.ledger = Ledger(home)
        self.number = 0

    @property
    def run_id(self) -> str:
        self.number += 1
        return f"run-{self.number}"

    def push(self, commit: str, *names: str) -> str:
        images = build(COMMITS[commit])
        for place in (self.staging, self.production):
            place.commits[images["base"].digest] = COMMITS[commit]
        return self.registry.push(images, *names)

    def passed(self, commit: str, name: str) -> str:
        """A version that passed in staging, which nobody looked at again."""
        digest = self.push(commit, name)
        resolve(self.repository, ReleaseStore(self.home), name)
        about = {"environment": "staging", "name": name}
        self.ledger.append(
            RELEASE, "release_staging", digest, None, "sensor", "it passed", about
        )
        return digest

    def approve(self, name: str) -> Entry:
        return approve(
            self.home, self.repository, name, "user ann", "it was tested"
        ).entry

    def promote(self, name: str | None = None) -> DeliveryResult:
        return promote(self.home, self.repository, name, "sensor", self.run_id)

    def released(self, commit: str, name: str) -> str:
        digest = self.passed(commit, name)
        self.approve(name)
        assert self.promote().is_deployed
        return digest

    def back(self, to: str | None = None, key: str = "") -> DeliveryResult:
        run_id = self.run_id
        key = key or f"rollback:{run_id}"
        return roll_back(self.home, "user ann", "it is slow", to, key, run_id)

    def entries(self) -> list[Entry]:
        assert self.ledger.verify(RELEASE) == []
        return self.ledger.entries(RELEASE)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    places = environments(monkeypatch)
    with registry_double() as registry, places[0].running(), places[1].running():
        monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
        yield Site(home, registry, places)


def test_an_approval_tells_who_when_why_and_is_made_once(site: Site) -> None:
    digest = site.passed("a", "v1.0.0")
    entry = site.approve("v1.0.0")
    assert (entry.kind, entry.version) == ("approval", digest)
    assert (entry.who, entry.why) == ("user ann", "it was tested")
    assert entry.evidence["name"] == "v1.0.0" and entry.evidence["staging"] == 1
    assert site.approve("v1.0.0") == entry
    assert site.kinds() == ["release_staging", "approval"]


def test_only_a_version_that_exists_is_approved_and_only_with_a_reason(
    site: Site,
) -> None:
    site.push("a", "main", "v1.0.0")
    with pytest.raises(RefusedError, match="main is no version"):
        site.approve("main")
    with pytest.raises(UnknownReleaseError, match="has no tag v2.0.0-base"):
        site.approve("v2.0.0")
    with pytest.raises(RefusedError, match="needs a reason"):
        approve(site.home, site.repository, "v1.0.0", "user ann", "  ")
    assert site.kinds() == []


def test_the_command_approves_and_the_ledger_command_shows_it(site: Site) -> None:
    digest = site.passed("a", "v1.0.0")
    runner = CliRunner()
    done = runner.invoke(main, ["approve", "v1.0.0", "--reason", "tested"])
    assert done.exit_code == 0, done.output
    assert f"approval of v1.0.0, {digest}" in done.output
    assert "it passed in staging" in done.output
    shown = runner.invoke(main, ["ledger", "release"])
    assert shown.exit_code == 0 and "tested" in shown.output
    refused = runner.invoke(main, ["approve", "main", "--reason", "tested"])
    assert refused.exit_code == 1 and "main is no version" in refused.output
    path = site.ledger.path(RELEASE)
    path.write_text(path.read_text().replace("tested", "forged"))
    broken = runner.invoke(main, ["ledger", "release"])
    assert broken.exit_code == 1 and "was edited" in broken.output


def test_the_command_says_what_is_not_set(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_RELEASE_REPOSITORY")
    done = CliRunner().invoke(main, ["approve", "v1.0.0", "--reason", "tested"])
    assert done.exit_code == 1
    assert "ML_ASSETS_RELEASE_REPOSITORY is not set" in done.output


def test_an_approved_version_is_deployed_once(site: Site) -> None:
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
    site: Site,
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


def test_main_is_refused_even_if_its_digest_was_approved(site: Site) -> None:
    digest = site.passed("a", "v1.0.0")
    site.registry.push(build(COMMITS["a"]), "main")
    site.approve("v1.0.0")
    with pytest.raises(RefusedError, match="main is no version"):
        site.promote("main")
    assert site.entries()[-1].version == digest
    assert site.production.images() == FIRST


def test_a_tag_that_was_moved_after_its_approval_is_refused(site: Site) -> None:
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


def test_what_a_dead_run_began_is_taken_back_if_it_may_not_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
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


def test_a_ledger_that_was_edited_lets_nothing_through(site: Site) -> None:
    site.push("a", "v1.0.0")
    resolve(site.repository, ReleaseStore(site.home), "v1.0.0")
    digest = site.passed("b", "v1.1.0")
    site.approve("v1.1.0")
    path = site.ledger.path(RELEASE)
    path.write_text(path.read_text().replace("it was tested", "it was TESTED"))
    with pytest.raises(RefusedError, match="cannot be trusted: entry 2"):
        site.promote()
    assert site.production.images() == FIRST and digest


def test_what_fails_its_checks_in_production_is_taken_back(site: Site) -> None:
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


def test_a_rollback_returns_to_the_release_before(site: Site) -> None:
    digests = [site.released(*item) for item in (("a", "v1.0.0"), ("b", "v1.1.0"))]
    done = site.back(key="rollback:x")
    assert done.entry.kind == "rollback" and done.entry.why == "it is slow"
    assert done.entry.version == digests[0]
    assert done.entry.evidence["from"] == digests[1]
    assert site.production.digest() == digests[0] and site.production.settle()
    # A run that is repeated does nothing more.
    assert site.back(key="rollback:x").entry == done.entry
    # One further: what ran before the first release.
    assert site.back().entry.evidence["environment"] == "production"
    assert site.production.images() == FIRST
    with pytest.raises(RefusedError, match="there is no release before"):
        site.back()


def test_a_rollback_may_name_where_it_goes(site: Site) -> None:
    digests = [
        site.released(*item)
        for item in (("a", "v1.0.0"), ("b", "v1.1.0"), ("c", "v1.2.0"))
    ]
    with pytest.raises(RefusedError, match="there were: v1.0.0, v1.1.0, v1.2.0"):
        site.back("v9.0.0")
    with pytest.raises(RefusedError, match="v1.2.0 is the release that is in"):
        site.back("v1.2.0")
    assert site.back("v1.0.0").entry.version == digests[0]
    assert site.back(digests[1]).entry.version == digests[1]
    assert site.production.digest() == digests[1]


def test_there_is_nothing_to_return_to_before_the_first_release(site: Site) -> None:
    with pytest.raises(RefusedError, match="no release was deployed"):
        site.back()


def test_the_sensor_sees_each_new_head_and_what_was_not_tried(site: Site) -> None:
    assert look() == ({}, [], None)
    first = site.push("a", "main")
    seen = look()
    assert [*seen.moved] == ["main"]
    assert [image.digest for image in seen.untried] == [first]
    # Nothing moved, and it is still untried.
    assert look() == ({}, seen.untried, None)
    stage(site.home, seen.untried[0], "sensor", site.run_id)
    assert look().untried == []
    # The newest version is tried as well, and an older one once it is approved.
    older, newest = site.push("b", "v1.0.0"), site.push("c", "v1.1.0")
    assert [image.digest for image in look().untried] == [newest]
    site.approve("v1.0.0")
    assert [image.digest for image in look().untried] == [newest, older]


@pytest.mark.parametrize("fault", [503, 403])
def test_a_registry_that_fails_moves_nothing(
    site: Site, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    site.push("a", "main")
    heads = ReleaseStore(site.home).heads()
    site.registry.faults = [(fault, {})] * 20
    assert str(fault) in str(look().problem)
    assert ReleaseStore(site.home).heads() == heads


def test_an_approval_is_open_until_it_was_used(site: Site) -> None:
    assert open_approval() == "nothing was approved yet"
    site.push("a", "v1.0.0")
    given = site.approve("v1.0.0")
    assert open_approval() == "v1.0.0 has not been through staging yet"
    site.passed("a", "v1.0.0")
    assert open_approval() == OpenApproval(f"production:{given.version}:{given.seq}")
    site.promote()
    assert "this approval of v1.0.0 was used" in str(open_approval())


def test_without_a_repository_nothing_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_RELEASE_REPOSITORY")
    off = "ML_ASSETS_RELEASE_REPOSITORY is not set: nothing is delivered"
    assert look().problem == off and open_approval() == off
    assert site.registry.requests == []


@pytest.mark.parametrize(
    "variable, value, reason",
    [
        ("ML_ASSETS_PROD_WEBSERVER", "", "ML_ASSETS_PROD_WEBSERVER is not set"),
        ("ML_ASSETS_RELEASE_P99_MS", "soon", "is 'soon', expected a positive number"),
        ("ML_ASSETS_RELEASE_PATIENCE", "-1", "is '-1', expected a positive number"),
        ("K8S_PROD_TOKEN", "", "K8S_PROD_SERVER is set, but K8S_PROD_TOKEN is not"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(
    site: Site, variable: str, value: str, reason: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=reason):
        settings("production")
        cluster("production")


def test_two_environments_are_never_one_place(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S_STAGING_SERVER", site.production.api.url)
    with (
        pytest.raises(SettingsError, match="staging and production are both"),
        taken(site.home, "staging"),
    ):
        pass
    monkeypatch.setenv("K8S_STAGING_NAMESPACE", "staging")
    assert cluster("staging").connection.namespace == "staging"
    # There need not be both.
    monkeypatch.delenv("K8S_PROD_SERVER")
    assert cluster("staging").connection.server == site.production.api.url
    with pytest.raises(SettingsError, match="no cluster is known: K8S_PROD_SERVER"):
        cluster("production")


def test_a_record_of_an_attempt_says_all_that_the_next_needs(site: Site) -> None:
    site.released("a", "v1.0.0")
    with taken(site.home, "production") as place:
        attempt = place.attempts.newest()
        assert attempt is not None and place.unended() is None
        assert attempt.before == FIRST
        assert msgspec.to_builtins(attempt)["name"] == "v1.0.0"
