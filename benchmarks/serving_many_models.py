"""A server of many models: at rest, with a new plan, loading, and without the storage.

``python -m benchmarks.serving_many_models`` makes the models of one version, whose
files it copies under other names, and a plan of each. It ends with 1 if a figure is
beyond its bound.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from benchmarks.serving_process import memory, processor
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, ServingPlan, Signature, encode, pin_of
from ml_assets.serving.models.bundle import write_bundle
from ml_assets.serving.models.published_plans import PublishedPlans

# Share of a core at rest, seconds until a new plan is served.
REST_SHARE, PICKUP_SECONDS = 0.03, 2.0
PATIENCE = 120.0


def make(storage: Path, count: int) -> None:
    """A storage with `count` models, each with a bundle and a plan of its own."""
    arm = _small_version(storage / "versions" / "m0000" / "v1" / "bundle")
    for number in range(count):
        name = f"m{number:04d}"
        bundle = storage / "versions" / name / "v1" / "bundle"
        if number:
            shutil.copytree(storage / arm.bundle, bundle)
            # Versions that were trained differ.
            note = bundle / "note.txt"
            note.write_text(name)
        own = msgspec.structs.replace(
            arm,
            bundle=f"versions/{name}/v1/bundle",
            files={**arm.files, **({"note.txt": _sha256(name)} if number else {})},
        )
        plan = _plan(name, own, 1)
        generation, _, digest = pin_of(plan).partition("-")
        # As a publisher writes them, without its waits for the disk.
        for path in (
            storage / "pinned" / name / generation / f"{digest}.json",
            storage / "plans" / name / "active.json",
        ):
            path.parent.mkdir(parents=True)
            path.write_bytes(encode(plan))


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _plan(name: str, arm: Arm, generation: int) -> ServingPlan:
    return ServingPlan(
        model=name,
        generation=generation,
        arms=(arm,),
        created_at="2026-11-23T02:00:00Z",
        reason="benchmark",
    )


def _small_version(directory: Path) -> Arm:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    names = [f"x{number}" for number in range(10)]
    rows = pd.DataFrame(rng.normal(size=(500, 10)), columns=names)
    encode_columns = ColumnTransformer([("numeric", StandardScaler(), names)])
    pipeline = Pipeline(
        [("encode", encode_columns), ("estimator", LogisticRegression())]
    )
    pipeline.fit(rows, (rows.sum(axis=1) > 0).astype(int))
    signature = Signature(
        columns=tuple(Column(name=name, kind="number") for name in names),
        target="y",
        negative=0,
        positive=1,
    )
    manifest = write_bundle(directory, pipeline, signature, rows.head(100))
    return Arm(
        version="v1",
        bundle="versions/m0000/v1/bundle",
        files=manifest.files,
        runtime=manifest.runtime,
    )


class Server:
    """A server process, and the messages of its log."""

    def __init__(self, storage: str, home: Path) -> None:
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ml_assets.serving", "--storage", storage),
                *("--home", str(home), "--port", "0", "--metrics-port", "0"),
            ],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lines: Queue[dict[str, Any]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def await_plans(self, count: int, generation: int = 1) -> float:
        """Seconds since the start until so many plans of a generation were loaded."""
        loaded = 0
        while loaded < count:
            line = self._lines.get(timeout=PATIENCE)
            loaded += (
                line["message"] == "plan loaded"
                and line["labels.generation"] == generation
            )
        return time.perf_counter() - self.began

    def share(self, seconds: float) -> float:
        """The part of a core that it uses at rest."""
        before, began = processor(self.process.pid), time.perf_counter()
        time.sleep(seconds)
        used = processor(self.process.pid) - before
        return used / (time.perf_counter() - began)


@contextlib.contextmanager
def serving(storage: str, home: Path) -> Iterator[Server]:
    """A server that is stopped at the end."""
    server = Server(storage, home)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE)


def measure(count: int, seconds: float) -> dict[str, float]:
    """Every figure, by its name."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        storage, home = Path(directory) / "storage", Path(directory) / "home"
        make(storage, count)
        with serving(str(storage), home) as server:
            found["load, s"] = server.await_plans(count)
            found["load, processor s"] = processor(server.process.pid)
            found["memory, MB"] = memory(server.process.pid)
            time.sleep(3)
            found["at rest, share of a core"] = server.share(seconds)
            plans = PublishedPlans(Storage(str(storage)))
            first = plans.current("m0001")
            assert first is not None
            newer = msgspec.structs.replace(first, generation=2)
            began = time.perf_counter()
            plans.publish(newer)
            server.await_plans(1, generation=2)
            found["a new plan is served after, s"] = time.perf_counter() - began
        with serving(str(storage), home) as server:
            found["restart, s"] = server.await_plans(count - 1)
        found |= _without_storage(storage, home, count)
    return found


def _without_storage(storage: Path, home: Path, count: int) -> dict[str, float]:
    """A restart while the directory of the storage cannot be read."""
    away = storage.with_name("away")
    storage.rename(away)
    # A file where the directory ought to be: no request is answered.
    storage.write_text("")
    with serving(str(storage), home) as server:
        seconds = server.await_plans(count - 1)
    storage.unlink()
    away.rename(storage)
    return {"restart without the storage, s": seconds}


def main() -> int:
    """Print the figures; 1 if one is beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of rest")
    arguments = parser.parse_args()
    found = measure(arguments.models, arguments.seconds)
    print(f"{arguments.models} models:")
    for name, value in found.items():
        print(f"| {name} | {value:.3g} |")
    is_held = (
        found["at rest, share of a core"] < REST_SHARE
        and found["a new plan is served after, s"] < PICKUP_SECONDS
    )
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
