"""The client of the commands: what a server that hangs up means to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ml_assets.cli.client import ServerClient
from ml_assets.cli.output import Failed

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@contextmanager
def server(answers_a_connection: list[int]) -> Iterator[tuple[str, list[bytes]]]:
    """Connections that are closed after so many answers each, and what they heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for count in answers_a_connection:
                connection, _ = listening.accept()
                with connection:
                    for _ in range(count):
                        heard.append(connection.recv(65_536))
                        connection.sendall(ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        thread.join(timeout=60)


def test_a_connection_that_was_closed_while_idle_is_opened_again() -> None:
    with server([1, 2]) as (url, heard), ServerClient(url) as client:
        for _ in range(3):
            assert client.get("/v2/health/live").status == 200
    assert len(heard) == 3


def test_a_server_that_answers_nothing_is_asked_once() -> None:
    with server([0]) as (url, heard), ServerClient(url) as client:
        with pytest.raises(Failed, match="no model server answers"):
            client.get("/v2/health/live")
    assert heard == []


def test_a_server_that_hangs_up_again_is_not_asked_a_third_time() -> None:
    with server([1, 0]) as (url, heard), ServerClient(url) as client:
        client.get("/v2/health/live")
        with pytest.raises(Failed, match="no model server answers"):
            client.get("/v2/health/live")
    assert len(heard) == 1
