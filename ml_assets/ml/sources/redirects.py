"""Redirects of a data server, which lead no deeper into a network than it is."""

import ipaddress
import socket
from enum import IntEnum
from urllib.parse import urljoin, urlsplit

import requests

from ml_assets.ml.tables import SourceError

# Of Amazon's metadata; those of other clouds are link-local.
_METADATA = ipaddress.ip_address("fd00:ec2::254")


class Depth(IntEnum):
    """How far inside an address is."""

    NOWHERE = 0
    PUBLIC = 1
    PRIVATE = 2
    THIS_MACHINE = 3
    METADATA = 4


def session_of(name: str, url: str) -> requests.Session:
    """A session that follows redirects of the server at `url`, but not further inside.

    A server must not choose an address that we can reach and it cannot: a public one
    none of a private network, a private one none of this machine, and no server that
    of the cloud's metadata.

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
            found = depth_of(host)
            if found is Depth.METADATA or found > depth_of(self._host):
                raise SourceError(
                    f"{self._name}: the server redirects to an address inside of our"
                    " network, which is not followed"
                )
        return target


def depth_of(host: str) -> Depth:
    """The deepest of the addresses that a host has; that of a name without any is 0.

    Examples
    --------
    >>> [depth_of(host).name for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254")]
    ['THIS_MACHINE', 'PRIVATE', 'METADATA']
    """
    try:
        addresses = socket.getaddrinfo(host, None)
    except OSError:
        return Depth.NOWHERE
    texts = {str(item[4][0]).partition("%")[0] for item in addresses}
    return max(map(_depth, texts), default=Depth.NOWHERE)


def _depth(text: str) -> Depth:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_link_local or address == _METADATA:
        return Depth.METADATA
    if address.is_loopback or address.is_unspecified:
        return Depth.THIS_MACHINE
    return Depth.PUBLIC if address.is_global else Depth.PRIVATE
