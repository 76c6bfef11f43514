"""How time grows with the number of models, of versions and of decisions.

    python -m benchmarks.scale [--quick]

Prints seconds at each size, and the exponent between the first and the last: 1 is
proportional. Databases are SQLite; the seconds of loading are those of the processor.
"""

import contextlib
import io
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.many_models import PACKAGE, name_of, write_project

MODELS = (10, 100, 1_000)
ENTRIES = (1_000, 10_000, 100_000)
VERSIONS = (100, 1_000, 10_000)
LIMIT, SECONDS = 1.1, 1.0
# What takes less is too short for an exponent.
SHORTEST = 0.1
# What was found to grow faster.
STEEP: list[str] = []
# What a code server does before the UI has the location, and what a run's process does.
LOAD = f"""
import time
start = time.process_time()
from {PACKAGE}.definitions import defs
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext as Context, DefinitionsLoadType as Type,
)
from dagster._core.remote_representation.external_data import RepositorySnap
Context.set(Context(Type.INITIALIZATION))
repository = defs().get_repository_def()
loaded = time.process_time()
RepositorySnap.from_def(repository, defer_snapshots=True)
described = time.process_time()
Context.set(Context(Type.RECONSTRUCTION))
defs().get_job("model_0003_train")
print(loaded - start, described - loaded, time.process_time() - described)
"""


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """The power of the size with which the time grows."""
    return math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])


def show(name: str, sizes: tuple[int, ...], seconds: list[float]) -> None:
    """One line."""
    if seconds[-1] > SHORTEST and exponent(sizes, seconds) > LIMIT:
        STEEP.append(f"{name} by {sizes[-1]:,}")
    figures = "  ".join(f"{n:>7,}: {s:8.4f} s" for n, s in zip(sizes, seconds))
    print(f"{name:28} {figures}   exponent {exponent(sizes, seconds):.2f}", flush=True)


def best(act: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the quickest of some calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        found.append(time.perf_counter() - start)
    return min(found)


def loading(project: Path) -> list[float]:
    """Processor seconds: definitions, their description, and a run's process."""
    package = os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD],
        env={**os.environ, "PYTHONPATH": package},
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(part) for part in done.stdout.split()]


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """An empty installation."""
    before = os.environ.get("ML_ASSETS_HOME")
    with tempfile.TemporaryDirectory() as directory:
        os.environ["ML_ASSETS_HOME"] = directory
        os.environ["DAGSTER_HOME"] = directory
        try:
            yield Path(directory)
        finally:
            if before is not None:
                os.environ["ML_ASSETS_HOME"] = before


def ticks(models: int) -> dict[str, float]:
    """Seconds of a tick of each sensor, at rest, and with ten models that have news."""
    import dagster as dg

    from benchmarks.scale_rows import evaluate, specs
    from ml_assets.automation import drift_sensor, gate_sensor, health_sensor

    # What is decided on each model would be a line for each.
    logging.disable(logging.INFO)
    found: dict[str, float] = {}
    described = {spec.name: spec for spec in specs(models)}
    with home() as directory, dg.DagsterInstance.local_temp(str(directory)) as instance:
        evaluate(instance, described)
        cursor = None
        kinds = {"gate": gate_sensor, "drift": drift_sensor, "health": health_sensor}
        for name, kind in kinds.items():
            for _ in range(math.ceil(models / 200) + 1):
                context = dg.build_sensor_context(instance=instance, cursor=cursor)
                cursor = kind.tick(context, described).cursor

            def tick() -> Any:
                given = dg.build_sensor_context(instance=instance, cursor=cursor)
                return kind.tick(given, described)

            found[f"tick of {name}, at rest"] = best(tick)
            if name == "gate":
                evaluate(instance, dict([*described.items()][:10]))
                found["tick of gate, 10 new"] = best(tick)
            cursor = None
    return found


def decisions(models: int, versions: int, entries: int) -> dict[str, float]:
    """Seconds of what is done with one model of so many."""
    from click.testing import CliRunner

    from benchmarks.scale_rows import fill, next_plan
    from ml_assets.cli import main
    from ml_assets.lifecycle.plan_transitions import previous_version
    from ml_assets.observability.exporter.metric_families import FoldedSeries
    from ml_assets.observability.exporter.storage import StorageSource
    from ml_assets.state import ledger, plans
    from ml_assets.state.engine import writing
    from ml_assets.state.ledger import Ledger

    model = name_of(models // 2)

    def append() -> None:
        Ledger().append(model, "hold", "20260101T000000Z", None, "ana", "so", {})

    def activate(kind: Any) -> None:
        plan = next_plan(model)
        with writing(model) as connection:
            plans.commit(connection, plan)
            given = (plan.live.version, plan.generation, "ana", "so", {})
            ledger.append(connection, model, kind, *given)
        plans.publish(model)

    def find_previous() -> None:
        previous_version(plans.Plans().history(model), Ledger().held(model))

    def command(*arguments: str) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            done = CliRunner().invoke(main, [*arguments])
        if done.exit_code:
            raise RuntimeError(f"{arguments}: {done.output} {done.exception}")

    with home():
        fill(models, versions, entries, model)
        command("versions", model, "--limit", "10")
        exporter = StorageSource(FoldedSeries())
        exporter.poll(threading.Event())
        return {
            "append": best(append),
            "decision to deploy": best(lambda: activate("deployment")),
            "decision to roll back": best(lambda: activate("rollback")),
            "versions --limit 10": best(
                lambda: command("versions", model, "--limit", "10")
            ),
            "version to roll back to": best(find_previous),
            "verify the ledger": best(lambda: Ledger().verify(model), times=3),
            "poll of the exporter": best(
                lambda: exporter.poll(threading.Event()), times=3
            ),
        }


def table(sizes: tuple[int, ...], found: list[dict[str, float]]) -> dict[str, float]:
    """Print one line for each name; the seconds of each at the last size."""
    for name in found[0]:
        show(name, sizes, [part[name] for part in found])
    return {f"{name} of {sizes[-1]:,}": seconds for name, seconds in found[-1].items()}


def main() -> int:
    """Print all tables; 1 where something is slower, or grows faster, than it may."""
    last = -1 if "--quick" in sys.argv else None
    models, entries, versions = MODELS[:last], ENTRIES[:last], VERSIONS[:last]
    print("processor seconds of loading, by models")
    found = []
    for number in models:
        with tempfile.TemporaryDirectory() as directory:
            write_project(Path(directory), number)
            found.append(loading(Path(directory)))
    for at, name in enumerate(("definitions", "their description", "of a run")):
        show(name, models, [part[at] for part in found])
    print("\nseconds of a tick, by models")
    slowest = table(models, [ticks(number) for number in models])
    print("\nseconds for one model, by models (10 versions, 100 decisions)")
    slowest |= table(models, [decisions(number, 10, 100) for number in models])
    print("\nseconds for one model, by its decisions (10 models, 10 versions)")
    slowest |= table(entries, [decisions(10, 10, number) for number in entries])
    print("\nseconds for one model, by its versions (10 models, 100 decisions)")
    slowest |= table(versions, [decisions(10, number, 100) for number in versions])
    slow = {name: seconds for name, seconds in slowest.items() if seconds > SECONDS}
    print(f"\nabove {SECONDS:g} s: {json.dumps(slow) if slow else 'nothing'}")
    print(f"exponent above {LIMIT:g}: {', '.join(STEEP) or 'nothing'}")
    return int(bool(slow or STEEP))


if __name__ == "__main__":
    sys.exit(main())
