"""Server processes on one core: started, timed, weighed and stopped."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SERVER_CORE = "0"
PATIENCE = 120.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], port: int, path: str, body: bytes, key: str = ""
) -> Iterator[Any]:
    """Run a server on its core; gives the process and the seconds to a first answer.

    `key` is the API key that it needs, if any.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            stdout=output,
            stderr=output,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": _search_path()},
            start_new_session=True,
        )
        try:
            while not _answers(port, path, body, key):
                if (
                    process.poll() is not None
                    or time.perf_counter() > started + PATIENCE
                ):
                    output.seek(0)
                    raise RuntimeError(output.read().decode(errors="replace"))
                time.sleep(0.005)
            yield process, time.perf_counter() - started
        finally:
            # MLflow's server is a child of its command.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


def _search_path() -> str:
    """PATH with the commands of this interpreter first: MLflow runs uvicorn by name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def _answers(port: int, path: str, body: bytes, key: str) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
    try:
        client.request("POST", path, body, headers)
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(item for child in children for item in _family(int(child)))]


def memory(pid: int) -> float:
    """Resident memory of a process and its descendants, in MB."""
    total = 0.0
    for member in _family(pid):
        text = Path(f"/proc/{member}/status").read_text()
        found = [line for line in text.splitlines() if line.startswith("VmRSS")]
        total += int(found[0].split()[1]) / 1024 if found else 0.0
    return total


def processor(pid: int) -> float:
    """Processor time that a process and its descendants used, in seconds."""
    total = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")
