"""Releases whose images are not signed as they must be, on their way."""

import pytest

from ml_assets.delivery.candidates import open_approval, poll_registry
from ml_assets.delivery.environments import SettingsError
from ml_assets.delivery.image_signatures import UnverifiedImageError
from ml_assets_tests.kits.environment import FIRST
from ml_assets_tests.kits.oci import COMMITS, build
from ml_assets_tests.kits.releases import ReleaseSite
from ml_assets_tests.kits.signed_images import WORKFLOW

pytestmark = pytest.mark.slow

OTHER = "https://github.com/eve/ml-assets/.github/workflows/cd.yml@refs/heads/main"


def test_an_unsigned_release_is_refused_once_and_changes_nothing(
    site: ReleaseSite,
) -> None:
    site.registry.sign = None
    release = site.release("a")
    with pytest.raises(UnverifiedImageError, match="no signature"):
        site.stage(release)
    assert site.staging.images() == FIRST and site.staging.api.patches == []
    (entry,) = site.entries()
    assert (entry.kind, entry.version) == ("refusal", release.digest)
    assert entry.evidence["environment"] == "staging" and "no signature" in entry.why
    # No sensor asks again; a person may, once it is signed.
    assert poll_registry().untried == []
    for image in build(COMMITS["a"]).values():
        site.sigstore.sign(site.registry, image)
    done = site.stage(release, again=True)
    assert done.is_deployed and f"signed by {WORKFLOW}" in done.entry.why


def test_production_verifies_again_and_a_refusal_uses_the_approval(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.passed("a", "v1.0.0")
    site.approve("v1.0.0")
    monkeypatch.setenv("ML_ASSETS_RELEASE_SIGNER", OTHER)
    with pytest.raises(UnverifiedImageError, match="SANs do not match"):
        site.promote()
    assert site.production.images() == FIRST
    assert site.kinds()[-1] == "refusal"
    assert "was used: refusal" in str(open_approval())


def test_without_a_signer_nothing_is_delivered_unless_that_is_said(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.registry.sign = None
    monkeypatch.delenv("ML_ASSETS_RELEASE_SIGNER")
    release = site.release("a")
    assert "nothing names who signs" in str(poll_registry().problem)
    assert "nothing names who signs" in str(open_approval())
    with pytest.raises(SettingsError):
        site.stage(release)
    assert site.kinds() == []
    monkeypatch.setenv("ML_ASSETS_RELEASE_SIGNER", "none")
    done = site.stage(release)
    assert done.is_deployed and "its images were not verified" in done.entry.why
