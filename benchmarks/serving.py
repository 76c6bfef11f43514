"""Our model server against ``mlflow models serve`` and an empty handler.

``python -m benchmarks.serving`` trains one pipeline, serves it with each on one core,
asks from the other core, and ends with 1 if a floor is missed. The client is wrk, whose
cost is the same for all.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.serving_model import build
from benchmarks.serving_process import free_port, memory, processor, running

CLIENT_CORE = "1"
LUA = Path(__file__).with_name("serving_load.lua")


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


def ask(
    pid: int,
    port: int,
    path: str,
    bodies: Path,
    connections: int,
    seconds: int,
    headers: Sequence[str] = (),
) -> Figures:
    """Load a server from the other core, with further headers in each request."""
    before = processor(pid)
    done = subprocess.run(
        [
            *("taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}"),
            *(f"-d{seconds}s", "--timeout", "30s", "-s", str(LUA)),
            *(word for header in headers for word in ("-H", header)),
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
            ours.one.errors + ours.sixteen.errors + ours.hundred.errors, 0, True,
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


def seconds_of(text: str) -> int:
    """The length of each load, from the command line; `text` describes the command."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8, help="length of each load")
    arguments = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            parser.error(f"this benchmark needs {tool}: install it and try again")
    return int(arguments.seconds)


def main() -> int:
    """Run the benchmark; 1 if a floor is missed."""
    seconds = seconds_of(__doc__)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runtime, rows, data = build(directory)
        print(f"{data}; the {runtime} runtime; wrk; {seconds} s a load\n")
        native = write_bodies(directory, "rows", rows)
        records = write_bodies(directory, "dataframe_records", rows)
        results = [
            measure(title, command, port, path, bodies, seconds)
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
            *("--home", str(directory / "home")),
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
