"""The doctor names who must sign the images of releases."""

import pytest

from ml_assets.cli.checks import delivery


@pytest.mark.parametrize(
    "variables, status, message",
    [
        ({}, None, ""),
        (
            {"REPOSITORY": "ghcr.io/acme/ml"},
            "ok",
            "must be signed by https://github.com",
        ),
        (
            {"REPOSITORY": "ghcr.io/acme/ml", "SIGNER": "none"},
            "warning",
            "are delivered without verification",
        ),
        (
            {"REPOSITORY": "registry.acme.example/ml"},
            "problem",
            "nothing names who signs",
        ),
        (
            {"REPOSITORY": "ghcr.io/acme/ml", "SIGNER_KEY": "/nowhere/cosign.pub"},
            "problem",
            "/nowhere/cosign.pub cannot be read",
        ),
    ],
)
def test_whether_images_are_verified_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    status: str | None,
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"ML_ASSETS_RELEASE_{name}", value)
    found = [*delivery.check()]
    assert [finding.status for finding in found] == ([status] if status else [])
    assert all(message in finding.message for finding in found)
