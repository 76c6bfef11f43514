"""Approvals: by the function and by the command, with what is refused."""

import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets.delivery.approvals import approve
from ml_assets.delivery.errors import RefusedError
from ml_assets.delivery.releases import UnknownReleaseError
from ml_assets.spec.reserved import RELEASE
from ml_assets_tests.kits.ledger_rows import forge
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


def test_an_approval_has_who_when_and_why_and_is_made_once(site: ReleaseSite) -> None:
    digest = site.passed("a", "v1.0.0")
    entry = site.approve("v1.0.0")
    assert (entry.kind, entry.version) == ("approval", digest)
    assert (entry.who, entry.why) == ("user ann", "it was tested")
    assert entry.evidence["name"] == "v1.0.0" and entry.evidence["staging"] == 1
    assert site.approve("v1.0.0") == entry
    assert site.kinds() == ["release_staging", "approval"]


def test_only_a_version_that_exists_is_approved_and_only_with_a_reason(
    site: ReleaseSite,
) -> None:
    site.push("a", "main", "v1.0.0")
    with pytest.raises(RefusedError, match="main is no version"):
        site.approve("main")
    with pytest.raises(UnknownReleaseError, match="has no tag v2.0.0-base"):
        site.approve("v2.0.0")
    with pytest.raises(RefusedError, match="needs a reason"):
        approve(site.repository, "v1.0.0", "user ann", "  ")
    assert site.kinds() == []


def test_the_command_approves_and_the_ledger_command_shows_it(
    site: ReleaseSite,
) -> None:
    digest = site.passed("a", "v1.0.0")
    runner = CliRunner()
    done = runner.invoke(
        main, ["approve", "v1.0.0", "--reason", "tested", "--who", "ann"]
    )
    assert done.exit_code == 0, done.output
    assert f"approval of v1.0.0, {digest}" in done.output
    assert "it passed in staging" in done.output
    shown = runner.invoke(main, ["ledger", "release"])
    assert shown.exit_code == 0 and "tested" in shown.output
    refused = runner.invoke(
        main, ["approve", "main", "--reason", "tested", "--who", "ann"]
    )
    assert refused.exit_code == 1 and "main is no version" in refused.output
    forge("tested", "forged", RELEASE)
    broken = runner.invoke(main, ["ledger", "release"])
    assert broken.exit_code == 1 and "was edited" in broken.output


def test_the_command_names_what_is_not_set(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_RELEASE_REPOSITORY")
    done = CliRunner().invoke(
        main, ["approve", "v1.0.0", "--reason", "tested", "--who", "ann"]
    )
    assert done.exit_code == 1
    assert "ML_ASSETS_RELEASE_REPOSITORY is not set" in done.output


@pytest.mark.parametrize("who", ["user ", "user root", "user uid 1000", "Anonymous"])
def test_an_approval_is_by_a_named_person(site: ReleaseSite, who: str) -> None:
    site.passed("a", "v1.0.0")
    with pytest.raises(RefusedError, match="needs the name of a person, found"):
        approve(site.repository, "v1.0.0", f"{who}, run 1", "tested")
    assert site.kinds() == ["release_staging"]
