"""The port that a server listens on, and where its Unix sockets are."""

import logging
import os
import socket
import tempfile

from ml_assets.serving.logs import log

# Connections that wait to be taken.
BACKLOG = 1024
# Bytes of the path of a Unix socket, and what leaves room for a directory and a name.
LONGEST_PATH = 107
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
    where = error.filename or f"{host}:{port}"
    log(
        f"cannot listen on {where}: {error.strerror};"
        " stop what uses the port, or choose another",
        logging.ERROR,
    )
    return 1


def require_socket_path(path: str) -> None:
    """Refuse a path that no Unix socket can have.

    Raises
    ------
    ValueError
        If it is longer than the 107 bytes that the system takes.
    """
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ValueError(
            f"hand-off is {path}, a Unix socket whose path has {length} bytes,"
            f" expected at most {LONGEST_PATH}"
        )


def socket_directory() -> str | None:
    """Where Unix sockets go whose path has 107 bytes: a long ``TMPDIR`` is passed by.

    None is the usual place for temporary files.
    """
    is_long = len(os.fsencode(tempfile.gettempdir())) > LONGEST_DIRECTORY
    return "/tmp" if is_long else None  # nosec B108 # a directory of its own is made
