"""Ray for tests: a cluster of two workers, and the processes that a search started."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ml_assets_tests.kits.processes import await_true

ROOT = Path(__file__).parents[2]
MARK = "ML_ASSETS_TEST_MARK"


@contextlib.contextmanager
def ray_cluster(token: str) -> Iterator[str]:
    """A cluster with this token; yields the address of its client server."""
    port = free_port()
    mark = secrets.token_hex(8)
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        MARK: mark,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.search_cluster", str(port)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline(), "the cluster did not start"
        yield f"ray://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.wait(60)
        await_true(lambda: not marked(mark), "the cluster is gone", 60)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def marked(mark: str) -> dict[int, str]:
    """Processes that inherited the environment variable `MARK` with this value."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                command = (directory / "cmdline").read_bytes()
                found[int(directory.name)] = command.replace(b"\0", b" ").decode()
    return found


def kill_marked(mark: str) -> None:
    """SIGKILL what is left of them."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
