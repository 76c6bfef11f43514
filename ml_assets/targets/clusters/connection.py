"""Which cluster, and who asks: the account of this pod, or a server and a token."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ml_assets.targets.clusters.errors import ClusterError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Connection:
    """A cluster's API and the credentials for it.

    Parameters
    ----------
    server : str
        Such as ``https://10.0.0.1:6443``.
    namespace : str
        Where everything is that we ask for.
    token : callable
        Gives the bearer token; asked for every request, because a pod's token changes.
    ca : str, optional
        File with the certificates to trust; by default those of this system.
    """

    server: str
    namespace: str
    token: Callable[[], str] = field(repr=False)
    ca: str | None = None


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
    Connection(server='https://staging.example.com:6443', namespace='default', ca=None)
    """
    namespace = environ.get(f"{prefix}_NAMESPACE") or _own_namespace(account)
    server = environ.get(f"{prefix}_SERVER")
    if not server:
        return _in_cluster(prefix, namespace, environ, account)
    token = environ.get(f"{prefix}_TOKEN")
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
    return Connection(server.rstrip("/"), namespace, token.strip, ca)


def _in_cluster(
    prefix: str, namespace: str, environ: Mapping[str, str], account: Path
) -> Connection:
    host = environ.get("KUBERNETES_SERVICE_HOST")
    token = account / "token"
    if not host or not token.is_file():
        raise ClusterError(
            f"no cluster is known: {prefix}_SERVER is not set, and this process has no"
            f" service account of a cluster ({token})"
        )
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    return Connection(
        f"https://{host}:{port}",
        namespace,
        partial(_read, token),
        str(account / "ca.crt"),
    )


def _own_namespace(account: Path) -> str:
    path = account / "namespace"
    return _read(path) if path.is_file() else "default"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
