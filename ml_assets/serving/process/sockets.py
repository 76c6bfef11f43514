"""The port that a server listens on, and the directory of its Unix sockets."""

import logging
import os
import socket
import tempfile

from ml_assets.serving.logs import log

# Connections that wait to be accepted.
BACKLOG = 1024
# Leaves room for another directory and a name in the path of a Unix socket.
LONGEST_DIRECTORY = 70


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`.

    Raises
    ------
    OSError
        If the port is in use, or the host is unknown.
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
    """Log why a port cannot be had; the exit code."""
    where = error.filename or f"{host}:{port}"
    log(
        f"cannot listen on {where}: {error.strerror};"
        " stop what uses the port, or choose another",
        logging.ERROR,
    )
    return 1


def socket_directory() -> str | None:
    """The directory of Unix sockets, whose path has at most 107 bytes.

    None is the usual one for temporary files; a long ``TMPDIR`` is not used.
    """
    is_long = len(os.fsencode(tempfile.gettempdir())) > LONGEST_DIRECTORY
    return "/tmp" if is_long else None  # nosec B108 # a directory of its own is made
