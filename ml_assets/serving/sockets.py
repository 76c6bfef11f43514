"""The port that a server listens on."""

import logging
import socket

from ml_assets.serving.logs import log

# Connections that wait to be taken.
BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`.

    Raises
    ------
    OSError
        If the port is taken, or the host is unknown.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def cannot_listen(host: str, port: int, error: OSError) -> int:
    """Say why a port cannot be had; the exit code."""
    log(
        f"cannot listen on {host}:{port}: {error.strerror};"
        " stop what uses the port, or choose another",
        logging.ERROR,
    )
    return 1
