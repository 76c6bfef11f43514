"""What counting costs a model server: asked with its metrics and without them in turn.

``python -m benchmarks.metrics`` starts two servers of one model on one core, one of
which counts nothing (`benchmarks.serving_uncounted`), asks each in turn from the other
core, and ends with 1 if metrics cost more than 3 % of the throughput. The one that
counts is scraped every second meanwhile, more often than Prometheus does.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.log import Pair, report
from benchmarks.serving import Figures, ask, write_bodies
from benchmarks.serving_model import build
from benchmarks.serving_process import free_port, running

MODEL = "adult"
PATH = f"/models/{MODEL}/predict"
FLOOR = 0.97


@contextlib.contextmanager
def scraped(port: int) -> Iterator[None]:
    """Ask for the metrics every second."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(1.0):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(server: tuple[int, int, int], bodies: Path, seconds: int) -> Figures:
    """One load on a server, given its process, its port and that of its metrics."""
    pid, port, metrics = server
    with scraped(metrics) if metrics else contextlib.nullcontext():
        return ask(pid, port, PATH, bodies, 16, seconds)


def main() -> int:
    """Run the benchmark; 1 if metrics cost too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of loads")
    parser.add_argument("--seconds", type=int, default=2, help="length of each load")
    arguments = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            parser.error(f"this benchmark needs {tool}: install it and try again")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        runtime, rows, data = build(directory, for_mlflow=False)
        one, hundred = write_bodies(directory, "rows", rows)
        body = one.read_bytes().splitlines()[0]
        servers = []
        for module in ("benchmarks.serving_uncounted", "ml_assets.serving"):
            port, metrics = free_port(), free_port()
            command = [
                *(sys.executable, "-m", module, "--port", str(port)),
                *("--metrics-port", str(metrics)),
                *("--storage", str(directory / "storage")),
                *("--home", str(directory / module)),
            ]
            process, _ = stack.enter_context(running(command, port, PATH, body))
            is_counted = module == "ml_assets.serving"
            servers.append((process.pid, port, metrics if is_counted else 0))
        print(f"{data}; the {runtime} runtime; 16 connections; medians of", end=" ")
        print(f"{arguments.rounds} rounds of {arguments.seconds} s\n")
        print(
            "| load | no metrics: rows/s, p50, p99 ms, processor us a request | metrics"
            f" | processor, times | throughput, times | at least {FLOOR} |"
        )
        print("|---|---|---|---|---|---|")
        rates = []
        for text, size, file in (("1 row", 1, one), ("100 rows", 100, hundred)):
            for server in servers:
                measure(server, file, 1)
            found = [
                Pair(*(measure(server, file, arguments.seconds) for server in servers))
                for _ in range(arguments.rounds)
            ]
            line, rate = report(text, size, found, FLOOR)
            print(line, flush=True)
            rates.append(rate)
    return 0 if min(rates) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
