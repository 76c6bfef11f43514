"""Redirects of a data server, which lead nowhere inside the network of ours."""

import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import requests

from ml_assets.ml.sources.errors import SourceError


def session_of(name: str, url: str) -> requests.Session:
    """A session that follows redirects of the server at `url`, but not to this machine.

    A server that we do not own must not choose an address that only we can reach: that
    of the cloud's metadata, or of a service on this machine.

    Parameters
    ----------
    name : str
        What errors call the source.
    """
    return _Session(name, urlsplit(url).hostname or "")


class _Session(requests.Session):
    def __init__(self, name: str, host: str) -> None:
        super().__init__()
        self._name = name
        self._host = host

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            host = urlsplit(urljoin(resp.url, target)).hostname or ""
            if host != self._host and _is_inside(host):
                raise SourceError(
                    f"{self._name}: the server redirects to an address inside of our"
                    " network, which is not followed"
                )
        return target


def _is_inside(host: str) -> bool:
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError:
        # Nobody can connect to it either.
        return False
    addresses = [ipaddress.ip_address(str(item).partition("%")[0]) for item in found]
    return any(not item.is_global for item in addresses)
