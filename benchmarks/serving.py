"""Our model server against ``mlflow models serve`` and an empty handler.

``python -m benchmarks.serving`` trains one pipeline, serves it with each on one core,
asks from the other core, and ends with 1 if a floor is missed. The client is wrk, whose
cost is the same for all.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.serving_model import build

SERVER_CORE, CLIENT_CORE = "0", "1"
LUA = Path(__file__).with_name("serving_load.lua")
PATIENCE = 120.0


class Figures(NamedTuple):
    """One load: requests a second, milliseconds, and failed requests.

    ``cpu`` is the server's processor time per request in microseconds, which other work
    on the machine changes little.
    """

    rps: float
    p50: float
    p99: float
    errors: int
    cpu: float


class Result(NamedTuple):
    """One server."""

    name: str
    start: float
    memory: float
    one: Figures
    sixteen: Figures
    hundred: Figures


class Floor(NamedTuple):
    """A ratio or a figure, the bound it must keep, and whether it is a maximum."""

    text: str
    value: float
    bound: float
    is_maximum: bool

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        if self.is_maximum:
            return self.value <= self.bound
        return self.value >= self.bound


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, path: str, body: bytes) -> Iterator[Any]:
    """Run a server on its core; gives the process and the seconds to a first answer."""
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
            while not _answers(port, path, body):
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


def _answers(port: int, path: str, body: bytes) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        client.request("POST", path, body, {"content-type": "application/json"})
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


def ask(
    pid: int, port: int, path: str, bodies: Path, connections: int, seconds: int
) -> Figures:
    """Load a server from the other core."""
    before = processor(pid)
    done = subprocess.run(
        [
            *("taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}"),
            *(f"-d{seconds}s", "--timeout", "30s", "-s", str(LUA)),
            f"http://127.0.0.1:{port}{path}",
        ],
        env={**os.environ, "BODIES": str(bodies)},
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    requests = found["requests"]
    cpu = 1e6 * (processor(pid) - before) / requests
    rate = requests / found["seconds"]
    return Figures(rate, found["p50"], found["p99"], found["errors"], cpu)


def measure(
    name: str,
    command: list[str],
    port: int,
    path: str,
    bodies: list[Path],
    seconds: int,
) -> Result:
    """All figures of one server."""
    one, hundred = bodies
    body = one.read_bytes().splitlines()[0]
    with running(command, port, path, body) as (process, start):
        pid = process.pid
        ask(pid, port, path, one, 4, 1)
        loads = [(one, 1), (one, 16), (hundred, 16)]
        figures = [ask(pid, port, path, file, count, seconds) for file, count in loads]
        return Result(name, start, memory(pid), *figures)


def write_bodies(directory: Path, key: str, rows: list[dict[str, Any]]) -> list[Path]:
    """Files of request bodies with 1 and with 100 rows each."""
    files = []
    for size in (1, 100):
        file = directory / f"{key}-{size}.jsonl"
        parts = [rows[at : at + size] for at in range(0, len(rows), size)]
        file.write_text("".join(json.dumps({key: part}) + "\n" for part in parts))
        files.append(file)
    return files


def floors(ours: Result, mlflow: Result, empty: Result) -> list[Floor]:
    """What must hold."""
    return [
        Floor(
            "requests/s at 16 connections, times MLflow's",
            ours.sixteen.rps / mlflow.sixteen.rps, 200, False,
        ),
        Floor(
            "p99 at 16 connections, MLflow's times ours",
            mlflow.sixteen.p99 / ours.sixteen.p99, 50, False,
        ),
        Floor(
            "rows/s at 100 rows, times MLflow's",
            ours.hundred.rps / mlflow.hundred.rps, 30, False,
        ),
        Floor(
            "p50 at 1 connection, times the empty handler's",
            ours.one.p50 / empty.one.p50, 2, True,
        ),
        Floor(
            "p50 at 16 connections, times the empty handler's",
            ours.sixteen.p50 / empty.sixteen.p50, 2, True,
        ),
        Floor("start to first answer, s", ours.start, 1.5, True),
        Floor("resident memory, MB", ours.memory, 120, True),
        Floor(
            "failed requests",
            sum(item.errors for item in (ours.one, ours.sixteen, ours.hundred)), 0, True,
        ),
    ]  # fmt: skip


def report(results: list[Result], checks: list[Floor]) -> str:
    """The figures as tables in Markdown."""
    lines = [
        "| server | 1 row, 1 conn: rps, p50, p99 ms | 1 row, 16 conn: rps, p50, p99 ms"
        " | 100 rows, 16 conn: rows/s, p50, p99 ms | processor us a request, the same"
        " three | start s | RSS MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in results:
        cells = [
            f"{figures.rps * size:,.0f}, {figures.p50:.3g}, {figures.p99:.3g}"
            for figures, size in ((item.one, 1), (item.sixteen, 1), (item.hundred, 100))
        ]
        loads = (item.one, item.sixteen, item.hundred)
        cells.append(", ".join(f"{load.cpu:,.0f}" for load in loads))
        cells += [f"{item.start:.2f}", f"{item.memory:.0f}"]
        lines.append(f"| {item.name} | " + " | ".join(cells) + " |")
    lines += ["", "| measure | found | must be | |", "|---|---|---|---|"]
    for check in checks:
        sign = "at most" if check.is_maximum else "at least"
        verdict = "holds" if check.holds else "MISSED"
        lines.append(
            f"| {check.text} | {check.value:.3g} | {sign} {check.bound:g} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark; 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8, help="length of each load")
    arguments = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            parser.error(f"this benchmark needs {tool}: install it and try again")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runtime, rows, data = build(directory)
        print(f"{data}; the {runtime} runtime; wrk; {arguments.seconds} s a load\n")
        native = write_bodies(directory, "rows", rows)
        records = write_bodies(directory, "dataframe_records", rows)
        results = [
            measure(title, command, port, path, bodies, arguments.seconds)
            for title, command, port, path, bodies in servers(
                directory, native, records
            )
        ]
    ours, mlflow, empty = results[0], results[2], results[3]
    checks = floors(ours, mlflow, empty)
    print(report(results, checks))
    return 0 if all(check.holds for check in checks) else 1


def servers(
    directory: Path, native: list[Path], records: list[Path]
) -> Iterator[tuple[str, list[str], int, str, list[Path]]]:
    """The servers to measure: title, command, port, path and request bodies."""
    for title, path, bodies in (
        ("ml-assets", "/models/adult/predict", native),
        ("ml-assets, /invocations", "/invocations", records),
    ):
        port = free_port()
        command = [
            *(sys.executable, "-m", "ml_assets.serving", "--port", str(port)),
            *("--metrics-port", "0", "--storage", str(directory / "storage")),
        ]
        yield title, command, port, path, bodies
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
        *("-m", str(directory / "mlflow"), "-p", str(port), "--workers", "1"),
    ]
    yield "mlflow models serve", command, port, "/invocations", records
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.serving_empty:app"),
        *("--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--lifespan", "off"),
    ]
    yield "empty handler", command, port, "/", native


if __name__ == "__main__":
    sys.exit(main())
