"""LightGBM and XGBoost on Adult: our server and kernel beside what else serves them.

``python -m benchmarks.boosters`` serves each pipeline with our server, with ``mlflow
models serve``, with MLServer and with a FastAPI handler that calls the library, each on
one core, and asks from the other core; and it times 100 rows in process beside lleaves
and treelite. uv installs MLServer and these two into environments below ``build``. It
ends with 1 if a floor is missed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

from benchmarks import boosters_kernels, serving_mlserver
from benchmarks.boosters_kernels import ROWS
from benchmarks.serving import (
    Floor,
    measure,
    report,
    seconds_of,
    servers,
    write_bodies,
)
from benchmarks.serving_model import build, table
from benchmarks.serving_process import free_port
from ml_assets.core.storage import Storage
from ml_assets.serving.models.bundle import load_pipeline, load_runtime
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.runtime.protocol import Runtime
from ml_assets.serving.runtime.sklearn_runtime import columns_of

BATCHES = 200
# lleaves 1.3 uses a pass manager that llvmlite 0.45 has no more.
PACKAGES = ("lleaves>=1.3", "llvmlite<0.45", "treelite>=4.4")
ESTIMATORS = {
    "LightGBM": LGBMClassifier(n_estimators=100, n_jobs=1, verbosity=-1),
    "XGBoost": XGBClassifier(n_estimators=100, n_jobs=1),
}


def serving(
    directory: Path, rows: list[dict[str, Any]], seconds: int, python: Path | str
) -> list[Floor]:
    """Print the figures of the servers; what must hold.

    `python` is that of an environment with MLServer, or why there is none.
    """
    native = write_bodies(directory, "rows", rows)
    records = write_bodies(directory, "dataframe_records", rows)
    ours, _, mlflow, _ = servers(directory, native, records)
    os.environ["BENCHMARK_MODEL"] = str(directory / "mlflow")
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.serving_fastapi:app"),
        *("--port", str(port), "--no-access-log"),
    ]
    handler = ("FastAPI and the library", command, port, "/predict", native)
    known = [ours, mlflow, handler]
    if isinstance(python, Path):
        pipeline, _ = served(directory)
        matrix = np.asarray(pipeline[:-1].transform(pd.DataFrame(rows)), np.float64)
        known.append(serving_mlserver.server(directory, python, pipeline[-1], matrix))
    else:
        print(f"without MLServer: {python}\n")
    results = [measure(*server, seconds) for server in known]
    first, *others = (result.sixteen.rps for result in results)
    errors = sum(load.errors for load in results[0][3:])
    rate = "requests/s at 16 connections, times"
    floors = [
        Floor(f"{rate} MLflow's", first / others[0], 200, False),
        *(
            Floor(f"{rate} {name}", first / other, 1, False)
            for name, other in zip(("FastAPI's", "MLServer's"), others[1:])
        ),
        Floor("failed requests", errors, 0, True),
    ]
    print(report(results, floors))
    return floors


def environment(name: str, packages: tuple[str, ...]) -> Path | str:
    """The Python of an environment with `packages`, or why there is none."""
    directory = Path("build", name).absolute()
    python = directory / "bin" / "python"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        return "uv is not installed"
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    create = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable]
    for command in (
        [*create, str(directory)],
        [*install, *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"the package index does not answer: {done.stderr[-300:]}"
    return python


def served(directory: Path) -> tuple[Any, Runtime]:
    """The pipeline that is served, and its runtime."""
    storage = directory / "storage" / "bundle"
    plan = PublishedPlans(Storage(str(directory / "storage"))).current("adult")
    assert plan is not None
    files = plan.live.files
    return load_pipeline(storage, files), load_runtime(storage, files)


def kernels(directory: Path, python: Path) -> list[Floor]:
    """Print the figures of the kernels; what must hold."""
    pipeline, runtime = served(directory)
    rows = table()[0].sample(BATCHES * ROWS, random_state=2)
    matrix = directory / "matrix.npy"
    np.save(matrix, np.asarray(pipeline[:-1].transform(rows), dtype=np.float64))
    booster = pipeline[-1]
    model = directory / ("model.txt" if hasattr(booster, "booster_") else "model.json")
    getattr(booster, "booster_", booster).save_model(str(model))
    done = subprocess.run(
        [python, boosters_kernels.__file__, str(model), str(matrix)],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    others = json.loads(done.stdout)
    batches = [
        columns_of(runtime.signature, rows[at : at + ROWS])
        for at in range(0, len(rows), ROWS)
    ]
    own = boosters_kernels.median(runtime.predict_many, batches)
    expected = runtime.predict_many(batches[0])
    print(f"\n| {ROWS} rows in process | us |\n|---|---|")
    print(f"| ml-assets, from the values of requests | {own:.0f} |")
    for name, item in others.items():
        np.testing.assert_allclose(item["answers"], expected, rtol=1e-5)
        print(f"| {name}, from the encoded matrix | {item['microseconds']:.0f} |")
    fastest = min(item["microseconds"] for item in others.values())
    floor = Floor("times the faster of them", own / fastest, 1.5, True)
    print(f"\n{floor.text}: {floor.value:.2f}, {'holds' if floor.holds else 'MISSED'}")
    return [floor]


def main() -> int:
    """Run the benchmark; 1 if a floor is missed."""
    seconds = seconds_of(__doc__)
    python = environment("kernels", PACKAGES)
    mlserver = environment("mlserver", serving_mlserver.PACKAGES)
    floors = []
    for name, estimator in ESTIMATORS.items():
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            runtime, rows, data = build(directory, estimator=estimator)
            print(f"\n{name} on {data}; the {runtime} runtime\n")
            floors += serving(directory, rows, seconds, mlserver)
            if isinstance(python, Path):
                floors += kernels(directory, python)
            else:
                print(f"\nwithout lleaves and treelite: {python}")
    return 0 if all(floor.holds for floor in floors) else 1


if __name__ == "__main__":
    sys.exit(main())
