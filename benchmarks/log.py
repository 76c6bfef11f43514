"""What the prediction log costs: one server, asked with and without it in turn.

``python -m benchmarks.log`` serves one model on one core, asks from the other, switches
the log by plans that differ in ``log_sample`` alone, and ends with 1 if the log costs
more than 15 % of the throughput.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.serving import Figures, ask, write_bodies
from benchmarks.serving_model import build
from benchmarks.serving_process import PATIENCE, free_port, running
from ml_assets.core.storage import Storage
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.models.rendezvous import Rendezvous

MODEL = "adult"
FLOOR = 0.85


class Pair(NamedTuple):
    """The same load without the log and, right after it, with it."""

    off: Figures
    on: Figures


def switch(store: PublishedPlans, servers: Rendezvous, share: float) -> None:
    """Activate a plan that logs this share, and wait until it serves."""
    current = store.current(MODEL)
    if current is None:
        raise RuntimeError(f"{MODEL} has no plan")
    plan: ServingPlan = msgspec.structs.replace(
        current, generation=current.generation + 1, log_sample=share
    )
    store.publish(plan)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        reports = servers.reports(MODEL)
        if reports and all(
            item is not None and item.generation == plan.generation for item in reports
        ):
            return
        time.sleep(0.01)
    raise RuntimeError(f"plan {plan.generation} was not loaded: {reports}")


def pairs(
    store: PublishedPlans,
    servers: Rendezvous,
    pid: int,
    port: int,
    bodies: Path,
    rounds: int,
    seconds: int,
) -> Iterator[Pair]:
    """The figures of each round."""
    for _ in range(rounds):
        figures = []
        for share in (0.0, 1.0):
            switch(store, servers, share)
            path = f"/models/{MODEL}/predict"
            figures.append(ask(pid, port, path, bodies, 16, seconds))
        yield Pair(*figures)


def report(
    name: str, rows: int, found: list[Pair], floor: float = FLOOR
) -> tuple[str, float]:
    """A line of the table, and the throughput with the log as a part of that without.

    Both are medians over the rounds of ratios within a round.
    """
    off, on = [pair.off for pair in found], [pair.on for pair in found]
    rate = statistics.median(pair.on.rps / pair.off.rps for pair in found)
    work = statistics.median(pair.on.cpu / pair.off.cpu for pair in found)
    cells = [
        f"{statistics.median(item.rps for item in items) * rows:,.0f}"
        f", {statistics.median(item.p50 for item in items):.3g}"
        f", {statistics.median(item.p99 for item in items):.3g}"
        f", {statistics.median(item.cpu for item in items):.0f}"
        for items in (off, on)
    ]
    errors = sum(item.errors for item in [*off, *on])
    verdict = "holds" if rate >= floor and not errors else "MISSED"
    line = f"| {name} | {cells[0]} | {cells[1]} | {work:.3f} | {rate:.3f} | {verdict} |"
    return line, rate if not errors else 0.0


def main() -> int:
    """Run the benchmark; 1 if the log costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of loads")
    parser.add_argument("--seconds", type=int, default=2, help="length of each load")
    arguments = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            parser.error(f"this benchmark needs {tool}: install it and try again")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runtime, rows, data = build(directory, for_mlflow=False)
        one, hundred = write_bodies(directory, "rows", rows)
        store = PublishedPlans(Storage(str(directory / "storage")))
        servers = Rendezvous(directory / "home")
        port = free_port()
        command = [
            *(sys.executable, "-m", "ml_assets.serving", "--port", str(port)),
            *("--metrics-port", "0", "--storage", store.storage.url),
            *("--home", str(directory / "home")),
        ]
        body = one.read_bytes().splitlines()[0]
        path = f"/models/{MODEL}/predict"
        print(f"{data}; the {runtime} runtime; 16 connections; medians of", end=" ")
        print(f"{arguments.rounds} rounds of {arguments.seconds} s\n")
        print(
            "| load | no log: rows/s, p50, p99 ms, processor us a request | log |",
            end="",
        )
        print(" processor, times | throughput, times | at least 0.85 |")
        print("|---|---|---|---|---|---|")
        rates = []
        with running(command, port, path, body) as (process, _):
            for text, size, file in (("1 row", 1, one), ("100 rows", 100, hundred)):
                ask(process.pid, port, path, file, 16, 1)
                found = list(
                    pairs(
                        store,
                        servers,
                        process.pid,
                        port,
                        file,
                        arguments.rounds,
                        arguments.seconds,
                    )
                )
                line, rate = report(text, size, found)
                print(line, flush=True)
                rates.append(rate)
    return 0 if min(rates) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
