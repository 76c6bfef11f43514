"""What the exporter costs over a long history: an instance of a million events.

``python -m benchmarks.exporter`` starts a PostgreSQL server, executes one real job of
five assets and their checks there, and copies its run and its events inside the
database, each under an id of its own. It starts the exporter, waits for the first
pass and times scrapes; more copies are added to see what news cost. It ends with 1 if
a scrape thereafter takes 100 ms or more, or memory grows with history.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2

from benchmarks.serving_process import free_port, memory, processor
from ml_assets_tests.kits import postgres_instance as postgres_kit
from ml_assets_tests.kits.exporter import Samples, parsed, value

FLOOR_SECONDS = 0.1
# What a million events may add to the memory of the process, in MB.
MOST_MB = 150.0
PATIENCE = 1_800.0
_COPY = """
insert into {table} ({columns})
select {values} from {table} t cross join generate_series(%s, %s) n
where t.run_id = %s order by n, t.id
"""
_ID = "md5('run' || n)::uuid::text"


def job() -> Any:
    """Five assets in a row, each with a check and a line in the log."""
    made: list[Any] = []
    for number in range(5):
        name = dg.AssetKey(["census", f"stage_{number}"])

        @dg.asset(
            key=name,
            deps=made[-1:],
            check_specs=[dg.AssetCheckSpec("fine", asset=name)],
        )
        def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            context.log.info("working")
            return dg.MaterializeResult(
                metadata={"dagster/row_count": 1_000},
                check_results=[dg.AssetCheckResult(passed=True, check_name="fine")],
            )

        made.append(stage)
    defined = dg.define_asset_job("census_train", selection=made)
    return dg.Definitions(assets=made, jobs=[defined]).resolve_job_def("census_train")


def copy(connection: Any, table: str, run_id: str, body: str, first: int, last: int):
    """Copy the rows of one run, `body` with its id replaced; how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select column_name from information_schema.columns where table_name = %s"
            " and column_name <> 'id' order by ordinal_position",
            (table,),
        )
        columns = [name for (name,) in cursor.fetchall()]
        values = [
            {"run_id": _ID, body: f"replace(t.{body}, '{run_id}', {_ID})"}.get(
                name, f't."{name}"'
            )
            for name in columns
        ]
        cursor.execute(
            _COPY.format(
                table=table,
                columns=", ".join(f'"{name}"' for name in columns),
                values=", ".join(values),
            ),
            (first, last, run_id),
        )
        return int(cursor.rowcount)


def fill(url: str, run_id: str, first: int, last: int) -> int:
    """Copy a run `last` - `first` + 1 times; how many events that made."""
    with contextlib.closing(psycopg2.connect(url)) as connection, connection:
        copy(connection, "runs", run_id, "run_body", first, last)
        made = copy(connection, "event_logs", run_id, "event", first, last)
    return made


def scrape(port: int) -> tuple[float, Samples]:
    """Seconds of one scrape, and what it returned."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read()
    return time.perf_counter() - began, parsed(text.decode())


def wait(port: int, process: Any, runs: int) -> tuple[float, float]:
    """Seconds until so many runs are counted, and the slowest scrape meanwhile."""
    began, slowest = time.monotonic(), 0.0
    labels = {"job": "census_train", "status": "success"}
    while time.monotonic() < began + PATIENCE and process.poll() is None:
        try:
            seconds, found = scrape(port)
        except OSError:
            time.sleep(0.05)
            continue
        slowest = max(slowest, seconds)
        if value(found, "ml_assets_dagster_runs_total", **labels) == runs:
            return time.monotonic() - began, slowest
        time.sleep(0.1)
    raise RuntimeError(f"the exporter did not count {runs} runs")


@contextlib.contextmanager
def exporting(home: Path) -> Iterator[tuple[Any, int]]:
    """The exporter as a process, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "ml_assets.cli", "exporter", "--port", str(port)]
    names = ("DAGSTER_HOME", "ML_ASSETS_HOME", "ML_ASSETS_STORAGE")
    process = subprocess.Popen(
        [*command, "--interval", "1"], env={**os.environ, **dict.fromkeys(names, home)}
    )
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait(60)


def measure(home: Path, url: str, run_id: str, runs: int, each: int, small: float):
    """Start the exporter on the long history and time it; 1 if a floor is missed."""
    with exporting(home) as (process, port):
        first, slowest = wait(port, process, runs)
        resident = memory(process.pid)
        print(f"first pass {first:.0f} s; slowest scrape in it {1e3 * slowest:.0f} ms")
        times = [scrape(port)[0] for _ in range(100)]
        fill(url, run_id, runs + 1, runs + 100)
        new, later = wait(port, process, runs + 100)
        worst = max(*times, later)
        print(f"{100 * each:,} new events are counted after {new:.1f} s")
        used, began = processor(process.pid), time.monotonic()
        time.sleep(10)
        idle = (processor(process.pid) - used) / (time.monotonic() - began)
        print(
            f"scrape {1e3 * statistics.median(times):.1f} ms, at worst"
            f" {1e3 * worst:.0f} ms; {len(scrape(port)[1])} series; without news"
            f" {100 * idle:.1f} % of a core at a look a second; {resident:.0f} MB,"
            f" {resident - small:.0f} MB more than over one run"
        )
    return int(worst >= FLOOR_SECONDS or resident - small > MOST_MB)


def main() -> int:
    """Run the benchmark; 1 if a scrape is slow or memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    if not postgres_kit.is_installed():
        parser.error("this benchmark needs PostgreSQL: install it and try again")
    with tempfile.TemporaryDirectory() as scratch, postgres_kit.running() as url:
        home = Path(scratch)
        (home / "dagster.yaml").write_text(postgres_kit.dagster_yaml(url))
        with dg.DagsterInstance.from_config(scratch) as instance:
            run_id = job().execute_in_process(instance=instance).run_id
            each = len(instance.all_logs(run_id))
        with exporting(home) as (process, port):
            wait(port, process, 1)
            small = memory(process.pid)
        runs, began = options.events // each, time.monotonic()
        events = each + fill(url, run_id, 2, runs)
        took = time.monotonic() - began
        print(f"PostgreSQL; {events:,} events of {runs:,} runs, copied in {took:.0f} s")
        return measure(home, url, run_id, runs, each, small)


if __name__ == "__main__":
    sys.exit(main())
