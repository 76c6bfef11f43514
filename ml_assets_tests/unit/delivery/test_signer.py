"""Who signs images: the settings, and the files that they name."""

from pathlib import Path

import pytest

from ml_assets.delivery.environments import SettingsError
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.signed_statements import BundleError, verifier
from ml_assets.delivery.signer import GITHUB_ISSUER, Signer, configured_signer
from ml_assets_tests.kits.signed_images import SOURCE, WORKFLOW


def test_the_signer_of_an_image_on_ghcr_is_its_repositorys_workflow() -> None:
    found = configured_signer(Repository("ghcr.io/acme/ml-assets"))
    assert found is not None
    assert (found.identity, found.source) == (WORKFLOW, SOURCE)
    with pytest.raises(SettingsError, match="nothing names who signs the images of"):
        configured_signer(Repository("registry.example:5000/ml"))


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"SIGNER": WORKFLOW, "SIGNER_KEY": "cosign.pub"}, "are both set"),
        ({"SIGNER": "ann@example.com"}, "ML_ASSETS_RELEASE_SOURCE is not set"),
    ],
)
def test_settings_that_contradict_or_lack_something_are_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"ML_ASSETS_RELEASE_{name}", value)
    with pytest.raises(SettingsError, match=message):
        configured_signer(Repository("ghcr.io/acme/ml-assets"))


@pytest.mark.parametrize(
    "content, message",
    [(None, "cannot be read as a public key"), (b"no key", "cannot be read")],
)
def test_a_key_that_cannot_be_read_is_named(
    tmp_path: Path,
    content: bytes | None,
    message: str,
) -> None:
    path = tmp_path / "cosign.pub"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"SIGNER_KEY: {path} {message}"):
        verifier(Signer(key=str(path)))


def test_a_trusted_root_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trusted_root.json"
    path.write_text("{}")
    with pytest.raises(SettingsError, match="ML_ASSETS_RELEASE_TRUSTED_ROOT"):
        verifier(Signer(WORKFLOW, GITHUB_ISSUER, trusted_root=str(path)))


def test_the_public_instance_is_trusted_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    verify = verifier(Signer(WORKFLOW, GITHUB_ISSUER))
    with pytest.raises(BundleError, match="the bundle is unreadable"):
        verify(b"{}")
