"""The port that a server listens on, and where its Unix sockets are."""

import logging
import os
import socket
import tempfile

from ml_assets.serving.logs import log

# Connections that wait to be taken.
BACKLOG = 1024
# Leaves room for a directory and a name in the 107 bytes of a path of a Unix socket.
LONGEST_DIRECTORY = 70


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


def socket_directory() -> str | None:
    """Where Unix sockets go whose path has 107 bytes: a long ``TMPDIR`` is passed by.

    None is the usual place for temporary files.
    """
    is_long = len(os.fsencode(tempfile.gettempdir())) > LONGEST_DIRECTORY
    return "/tmp" if is_long else None  # nosec B108 # a directory of its own is made
