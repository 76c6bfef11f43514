"""Where releases come from and go to, as the environment variables describe it.

======================== =====================================================
K8S_STAGING_SERVER       address of the API server; the cluster that we run in
                         where it is unset
K8S_STAGING_TOKEN        bearer token of an account that may patch Deployments
K8S_STAGING_CA_FILE      file with the certificate authority of the server
K8S_STAGING_NAMESPACE    where both charts are installed; ours where unset
ML_ASSETS_STAGING_WEBSERVER  address of the Dagster webserver
ML_ASSETS_STAGING_MODELS     address of the model servers; ``{model}`` in it
                         becomes the name, and ``{deployment}`` the Deployment
======================== =====================================================

The same with ``PROD`` for production. All of it is read when it is used.
"""

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from ml_assets.core.extras import MissingExtraError, require_extra
from ml_assets.delivery.errors import ReleaseError
from ml_assets.delivery.release_ledger import PRODUCTION, STAGING, Environment

if TYPE_CHECKING:
    from ml_assets.delivery.oci_repository import Repository
    from ml_assets.targets.clusters import Cluster

_PREFIXES: dict[Environment, str] = {STAGING: "STAGING", PRODUCTION: "PROD"}
RELEASE_REPOSITORY = "ML_ASSETS_RELEASE_REPOSITORY"
CODE_LOCATION_DEPLOYMENT = "dagster-dagster-user-deployments-ml-assets"
CODE_LOCATION = "ml-assets"
P99_MILLISECONDS = 250.0
PATIENCE_SECONDS = 600.0


class SettingsError(ReleaseError):
    """A variable that describes an environment is missing or invalid."""


class Settings(NamedTuple):
    """One environment.

    Attributes
    ----------
    deployment : str
        The Deployment of the code location.
    location : str
        The name of the code location in the workspace of the webserver.
    p99_ms : float
        The slowest that a prediction may be in 99 of 100 cases, in milliseconds.
    patience : float
        Seconds in which a rollout, and then each check, must come to its end.
    """

    name: Environment
    webserver: str
    models: str
    deployment: str
    location: str
    p99_ms: float
    patience: float


def repository() -> "Repository":
    """The repository of images of ``ML_ASSETS_RELEASE_REPOSITORY``.

    Raises
    ------
    SettingsError
        If it is not set, or the extra `delivery` is not installed.
    RegistryRefusedError
        If it is no repository.
    """
    from ml_assets.delivery.oci_repository import Repository

    image = variable(RELEASE_REPOSITORY)
    if image is None:
        raise SettingsError(f"{RELEASE_REPOSITORY} is not set: nothing is delivered")
    _require_packages()
    return Repository(image)


def settings(name: Environment) -> Settings:
    """The settings of an environment, from its variables.

    Raises
    ------
    SettingsError
        With the name of the variable that is missing, or no number.
    """
    prefix = _PREFIXES[name]
    return Settings(
        name=name,
        webserver=_required(f"ML_ASSETS_{prefix}_WEBSERVER", name).rstrip("/"),
        models=_required(f"ML_ASSETS_{prefix}_MODELS", name).rstrip("/"),
        deployment=variable("ML_ASSETS_CODE_LOCATION_DEPLOYMENT")
        or CODE_LOCATION_DEPLOYMENT,
        location=variable("ML_ASSETS_CODE_LOCATION") or CODE_LOCATION,
        p99_ms=_number("ML_ASSETS_RELEASE_P99_MS", P99_MILLISECONDS),
        patience=_number("ML_ASSETS_RELEASE_PATIENCE", PATIENCE_SECONDS),
    )


def cluster(name: Environment) -> "Cluster":
    """The cluster of an environment.

    Raises
    ------
    SettingsError
        If no variable names one and we run in none, or if it is that of the other
        environment as well: what is tried in staging would be in production. Also if
        the extra `delivery` is not installed.
    """
    _require_packages()
    from ml_assets.targets.clusters import Cluster, ClusterError, connect

    try:
        found = connect(f"K8S_{_PREFIXES[name]}")
    except ClusterError as error:
        raise SettingsError(str(error)) from error
    with contextlib.suppress(ClusterError):
        # There may be no other one yet.
        other = connect(f"K8S_{_PREFIXES[PRODUCTION if name == STAGING else STAGING]}")
        if (other.server, other.namespace) == (found.server, found.namespace):
            raise SettingsError(
                f"staging and production are both the namespace {found.namespace} of"
                f" {found.server}; set K8S_STAGING_NAMESPACE or K8S_PROD_NAMESPACE, or"
                " name another server"
            )
    return Cluster(found)


def models() -> dict[str, str]:
    """Model to the Deployment of its servers, by the YAML files of this code.

    The shared pool is among them, under its own name.
    """
    from ml_assets.spec.catalogue import specs
    from ml_assets.targets.model_servers import POOL, deployment_name

    return {name: deployment_name(name) for name in [*specs(), POOL]}


def _require_packages() -> None:
    try:
        require_extra("delivery", "the delivery of releases")
    except MissingExtraError as error:
        raise SettingsError(str(error)) from None


def variable(name: str) -> str | None:
    """The value of an environment variable; None where it is unset or empty."""
    return os.environ.get(name, "").strip() or None


def _required(key: str, name: str) -> str:
    value = variable(key)
    if value is None:
        raise SettingsError(f"{key} is not set; {name} needs it")
    return value


def _number(key: str, default: float) -> float:
    value = variable(key)
    try:
        found = default if value is None else float(value)
    except ValueError:
        found = 0.0
    if not found > 0.0:
        raise SettingsError(f"{key} is '{value}', expected a positive number")
    return found
