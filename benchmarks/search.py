"""The same hyper-parameter search on this machine and on a Ray cluster of two workers.

    python -m benchmarks.search

Prints seconds and ratios, and fails where the two do not find the same answer, bit for
bit. The cluster's start is not counted; connecting to it is.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np

from ml_assets.ml.prepare import prepare
from ml_assets.ml.synthetic import synthetic
from ml_assets.ml.tables import tidy
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec

ROWS = 20_000
CANDIDATES = 8
SEARCH: dict[str, Any] = {
    "params": {"max_depth": [2, 4, 8, None], "learning_rate": [0.05, 0.1, 0.3]},
    "iterations": CANDIDATES,
}


def main() -> int:
    """Search with each engine and compare."""
    token = secrets.token_hex(32)
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.search_cluster", str(port)]
    cluster = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert cluster.stdin and cluster.stdout
    try:
        if not cluster.stdout.readline():
            raise RuntimeError("the Ray cluster did not start")
        os.environ["RAY_ADDRESS"] = f"ray://127.0.0.1:{port}"
        os.environ["LOKY_MAX_CPU_COUNT"] = "1"
        one, one_seconds = timed("local")
        os.environ["LOKY_MAX_CPU_COUNT"] = "2"
        two, two_seconds = timed("local")
        ray, ray_seconds = timed("ray")
        again, again_seconds = timed("ray")
    finally:
        cluster.stdin.close()
        cluster.wait(60)
    print(f"{CANDIDATES} candidates, 3 folds, {ROWS:,} rows\n")
    print("| engine | workers | s | times one worker |\n|---|---|---|---|")
    for found, seconds in (
        (one, one_seconds),
        (two, two_seconds),
        (ray, ray_seconds),
        (again, again_seconds),
    ):
        workers = found.workers
        assert workers is not None
        ratio = one_seconds / seconds
        print(f"| {workers.engine} | {workers.count} | {seconds:.1f} | {ratio:.2f} |")
    same = all(identical(one, other) for other in (two, ray, again))
    best = one.candidates[0]
    print(f"\nbest {best.params}, {best.mean!r}: {'same' if same else 'NOT the same'}")
    return 0 if same else 1


def timed(engine: str) -> tuple[Trained, float]:
    """Train with this engine; what came of it, and the seconds."""
    spec = ModelSpec.model_validate(
        {
            "name": "churn",
            "source": {"type": "synthetic"},
            "target": "churned",
            "estimator": {"params": {"max_iter": 200, "early_stopping": False}},
            "search": {"engine": engine, **SEARCH},
        }
    )
    raw = tidy(synthetic(ROWS, 0, 0.0))
    table = prepare(raw, spec.features, spec.target).table
    started = time.perf_counter()
    return train(table, spec), time.perf_counter() - started


def identical(one: Trained, other: Trained) -> bool:
    """Whether scores, parameters and answers are equal, bit for bit."""
    answers = [item.pipeline.predict_proba(item.x_test) for item in (one, other)]
    return (
        one.candidates == other.candidates
        and one.params == other.params
        and np.array_equal(*answers)
    )


if __name__ == "__main__":
    sys.exit(main())
