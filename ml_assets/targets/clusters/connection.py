"""Which cluster, and who asks: the account of this pod, or a server and a token."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kubernetes.client import Configuration

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class ClusterError(Exception):
    """The cluster refused a request, or did not answer in time.

    `status` is that of its answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Connection:
    """A namespace of a cluster, and the configuration of the client that asks it."""

    server: str
    namespace: str
    configuration: "Configuration" = field(repr=False)


def connect(
    prefix: str, environ: Mapping[str, str] = os.environ, account: Path = ACCOUNT
) -> Connection:
    """The cluster that the environment names, else the one that this process runs in.

    Read are ``<prefix>_SERVER``, ``<prefix>_TOKEN``, ``<prefix>_CA_FILE`` and
    ``<prefix>_NAMESPACE``. The namespace is by default that of this pod, else
    ``default``.

    Raises
    ------
    ClusterError
        If there is neither, or the settings are incomplete.

    Examples
    --------
    >>> connect("K8S_STAGING", {
    ...     "K8S_STAGING_SERVER": "https://staging.example.com:6443",
    ...     "K8S_STAGING_TOKEN": "secret",
    ... })
    Connection(server='https://staging.example.com:6443', namespace='default')
    """
    from requests.utils import get_environ_proxies, select_proxy
    from urllib3 import Retry as Redirects

    if environ.get(f"{prefix}_SERVER"):
        found = _named(prefix, environ)
    else:
        found = _in_cluster(prefix, environ, account)
    # One attempt, and no redirect is followed: the token would go with it.
    found.retries = Redirects(0, redirect=False)
    # The client takes http_proxy, too, for a server with TLS.
    found.proxy = select_proxy(found.host, get_environ_proxies(found.host))
    namespace = account / "namespace"
    own = namespace.read_text("utf-8").strip() if namespace.is_file() else "default"
    return Connection(found.host, environ.get(f"{prefix}_NAMESPACE") or own, found)


def _named(prefix: str, environ: Mapping[str, str]) -> "Configuration":
    from kubernetes.client import Configuration

    server, token = environ[f"{prefix}_SERVER"], environ.get(f"{prefix}_TOKEN")
    if not token:
        raise ClusterError(f"{prefix}_SERVER is set, but {prefix}_TOKEN is not")
    parts = urlsplit(server)
    is_local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.scheme != "https" and not is_local:
        raise ClusterError(
            f"{prefix}_SERVER is {server!r}, expected an https:// address:"
            " the token would be sent in the clear"
        )
    ca = environ.get(f"{prefix}_CA_FILE") or None
    if ca is not None and not Path(ca).is_file():
        raise ClusterError(f"{prefix}_CA_FILE names {ca}, which is not a file")
    keys = {"BearerToken": f"Bearer {token.strip()}"}
    return Configuration(server.rstrip("/"), api_key=keys, ssl_ca_cert=ca)


def _in_cluster(
    prefix: str, environ: Mapping[str, str], account: Path
) -> "Configuration":
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    found = Configuration()
    # It reads the token again every minute, because a pod's token changes.
    loader = InClusterConfigLoader(
        str(account / "token"), str(account / "ca.crt"), environ=environ
    )
    try:
        loader.load_and_set(found)
    except ConfigException as error:
        raise ClusterError(
            f"no cluster is known: {prefix}_SERVER is not set, and this process has no"
            f" service account of a cluster in {account}: {error}"
        ) from error
    return found
