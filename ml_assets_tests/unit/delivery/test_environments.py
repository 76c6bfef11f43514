"""The variables that describe the environments."""

from typing import Any

import pytest

from ml_assets.delivery.environment_session import acquire
from ml_assets.delivery.environments import SettingsError, cluster, settings
from ml_assets_tests.kits.releases import ReleaseSite

pytestmark = pytest.mark.slow


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
    site: ReleaseSite, variable: str, value: str, reason: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=reason):
        settings("production")
        cluster("production")


def test_two_environments_are_never_one_namespace(
    site: ReleaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S_STAGING_SERVER", site.production.api.url)
    with (
        pytest.raises(SettingsError, match="staging and production are both"),
        acquire("staging"),
    ):
        pass
    monkeypatch.setenv("K8S_STAGING_NAMESPACE", "staging")
    assert cluster("staging").namespace == "staging"
    # There need not be both.
    monkeypatch.delenv("K8S_PROD_SERVER")
    assert cluster("staging").server == site.production.api.url
    with pytest.raises(SettingsError, match="no cluster is known: K8S_PROD_SERVER"):
        cluster("production")
