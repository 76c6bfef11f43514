"""What a slow model costs another: its p99 alone, and beside a full queue.

``python -m benchmarks.fairness`` serves a small boosting, a forest of 300 trees and the
forest's library as three models. It asks the first one after the other, alone, and
beside 200 slow connections while the queue of another is full, and prints the ratios of
its 99th percentiles. The others' clients are a process of their own: their waits for
one interpreter would count as the server's. It ends with 1 if one is above its bound.
"""

import http.client
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from benchmarks.serving_process import SERVER_CORE, free_port, running
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, ServingPlan, Signature
from ml_assets.serving.models.bundle import PROGRAM, TABLES, write_bundle
from ml_assets.serving.models.published_plans import PublishedPlans

# Compiled, and by its library: both compute in processes of the server.
SLOW = ("forest", "library")
MOST = 2.0
ROWS, CLIENTS, CONNECTIONS = 1_500, 8, 200
REQUESTS, ROUNDS = 5_000, 3
COLUMNS = 8


def main() -> int:
    """Measure; 1 if a ratio is above its bound."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        frame = write_models(root)
        ports = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "ml_assets.serving", "--storage", str(root)),
            *("--home", str(root / "home"), "--port", str(ports[0])),
            *("--metrics-port", str(ports[1]), "--max-queue", str(CLIENTS // 2)),
        ]
        one, many = body_of(frame.head(1)), body_of(frame.head(ROWS))
        with running(command, ports[0], "/models/library/predict", one):
            # The clients have the other cores.
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {int(SERVER_CORE)} or {0})
            _await_models(ports[0], many)
            _p99(ports[0], one)
            failed = False
            for slow in SLOW:
                ratio = statistics.median(
                    _ratio(ports[0], one, slow, many) for _ in range(ROUNDS)
                )
                failed |= ratio > MOST
                print(f"p99 beside a full queue of {slow}: {ratio:.2f} of alone")
    return int(failed)


def write_models(
    root: Path,
    names: tuple[str, ...] = ("small", "forest", "library"),
    count: int = COLUMNS,
) -> pd.DataFrame:
    """Models, each with a plan of its own, in a storage; the rows that they take.

    A row has `count` numbers.
    """
    rng = np.random.default_rng(0)
    columns = [f"x{number}" for number in range(count)]
    numbers = tuple(Column(name=name, kind="number") for name in columns)
    signature = Signature(columns=numbers, target="y", negative=0, positive=1)
    frame = pd.DataFrame(rng.normal(size=(4_000, len(columns))), columns=columns)
    target = (frame.sum(axis=1) + rng.normal(size=len(frame)) > 0).astype(int)
    forest = RandomForestClassifier(300, min_samples_leaf=5, random_state=0)
    plans = PublishedPlans(Storage(str(root)))
    small = HistGradientBoostingClassifier(max_iter=20)
    for name in names:
        estimator = small if name == "small" else forest
        encode = ColumnTransformer([("numbers", "passthrough", columns)])
        steps = [("encode", encode), ("estimator", estimator)]
        pipeline = Pipeline(steps).fit(frame, target)
        bundle = root / "bundles" / name
        manifest = write_bundle(bundle, pipeline, signature, frame.head(200))
        if manifest.reason:
            raise AssertionError(f"{name} is not compiled: {manifest.reason}")
        files = dict(manifest.files)
        if name == "library":
            for file in (PROGRAM, TABLES):
                if files.pop(file, None):
                    (bundle / file).unlink()
        arm = Arm(
            version=name,
            bundle=f"bundles/{name}",
            files=files,
            runtime="sklearn" if name == "library" else manifest.runtime,
        )
        plan = ServingPlan(
            model=name, generation=1, arms=(arm,), created_at="", reason="benchmark"
        )
        plans.publish(plan)
    return frame


def _await_models(port: int, many: bytes) -> None:
    """Wait until each model is loaded, and the processes for long requests run."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for model in ("small", *SLOW):
        while _ask(client, model, many) != 200:
            time.sleep(0.1)
    client.close()


def _ratio(port: int, one: bytes, slow: str, many: bytes) -> float:
    """p99 of the small model beside a slow one, as a multiple of alone."""
    alone = _p99(port, one)
    is_full = multiprocessing.Event()
    others = multiprocessing.Process(target=_crowd, args=(port, slow, many, is_full))
    others.start()
    is_full.wait()
    beside = _p99(port, one)
    others.terminate()
    others.join()
    print(f"p99 {1e3 * alone:.2f} ms alone, {1e3 * beside:.2f} ms beside {slow}")
    return beside / alone


def _crowd(port: int, slow: str, many: bytes, is_full: Any) -> None:
    """Fill the queue of a model, and send requests byte by byte, until terminated."""
    for _ in range(CLIENTS):
        threading.Thread(target=_repeat, args=(port, slow, many)).start()
    head = (
        f"POST /models/{slow}/predict HTTP/1.1\r\nhost: a\r\n"
        "content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    )
    connections = [
        socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)
    ]
    for connection in connections:
        connection.sendall(head.encode())
    time.sleep(1.0)
    is_full.set()
    while True:
        time.sleep(0.5)
        for connection in connections:
            connection.sendall(b" ")


def _p99(port: int, body: bytes) -> float:
    """99th percentile of the seconds of an answer of the small model."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        _ask(client, "small", body)
        found.append(time.perf_counter() - started)
    client.close()
    return float(np.quantile(found, 0.99))


def _repeat(port: int, model: str, body: bytes) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        if _ask(client, model, body) == 503:
            time.sleep(0.05)


def _ask(client: http.client.HTTPConnection, model: str, body: bytes) -> int:
    headers = {"content-type": "application/json"}
    client.request("POST", f"/models/{model}/predict", body, headers)
    answer = client.getresponse()
    answer.read()
    return answer.status


def body_of(frame: pd.DataFrame) -> bytes:
    """The body of a request for some rows."""
    rows: list[Any] = frame.to_dict(orient="records")
    return msgspec.json.encode({"rows": rows})


if __name__ == "__main__":
    sys.exit(main())
