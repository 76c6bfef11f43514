"""A million rows of Adult: `ml-assets predict`'s bulk path, and pandas with sklearn.

    python -m benchmarks.bulk --rows 1000000

Rows per processor second, and the peak of resident memory, each way in a process of its
own. The bulk path reads Parquet, checks, scores and writes Parquet; beside it is
``pipeline.predict_proba`` alone, on a DataFrame that is in memory already. The data is
Adult where ``ML_ASSETS_TEST_DATA`` names the directory that holds it, else synthetic
rows of the same shape. Fails where the bulk path does less than three times as much, or
a probability differs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.serving_model import build, table
from ml_assets.cli import bulk
from ml_assets.cli.activity import activity
from ml_assets.cli.scorers import PlanScorer
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.bundle import load_pipeline, load_runtime
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.published_plans import PublishedPlans

FLOOR = 3.0
WAYS = ("bulk", "predict_proba")


def main() -> int:
    """Print the table; 1 below the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    if options.way:
        measure = _bulk if options.way == "bulk" else _predict_proba
        print(json.dumps(measure(options.directory)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _, _, data = build(directory, for_mlflow=False)
        _write_rows(directory, options.rows)
        found = {way: _in_process(way, directory) for way in WAYS}
        same = _are_equal(directory)
    print(f"{options.rows:,} rows of {data}\n")
    print("| | rows per processor second | peak RSS in MiB |\n|---|---|---|")
    for way, (seconds, peak) in found.items():
        print(f"| {way} | {options.rows / seconds:,.0f} | {peak:,.0f} |")
    ratio = found["predict_proba"][0] / found["bulk"][0]
    print(f"\n{ratio:.1f} times as many rows; the same probabilities: {same}")
    return int(not same or ratio < FLOOR)


def _write_rows(directory: Path, count: int) -> None:
    """The rows of the data, again and again, as Parquet."""
    rows, _, _ = table()
    part = pa.Table.from_pandas(rows, preserve_index=False)
    with pq.ParquetWriter(directory / "rows.parquet", part.schema) as writer:
        for start in range(0, count, len(rows)):
            writer.write_table(part.slice(0, count - start))


def _in_process(way: str, directory: Path) -> tuple[float, float]:
    """Processor seconds, and MiB at the peak."""
    command = [sys.executable, "-m", "benchmarks.bulk", "--way", way]
    done = subprocess.run(
        [*command, "--directory", str(directory)], check=True, stdout=subprocess.PIPE
    )
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def _bulk(directory: Path) -> tuple[float, float]:
    plan_arm = _plan_arm(directory)
    runtime = load_runtime(directory / "storage" / "bundle", plan_arm.files)
    arm = ServedArm("adult", plan_arm, runtime, bulk.CHUNK, PredictionIds())
    scorer = PlanScorer(plan_arm, arm)
    start = time.process_time()
    with (
        (directory / "rows.parquet").open("rb") as file,
        bulk.scoring(scorer, bulk.CHUNK, 1) as score,
    ):
        given = bulk.chunks(scorer, file, "parquet", None, bulk.CHUNK, False)
        to = directory / "bulk.parquet"
        with activity("scoring") as shown:
            bulk.write_predictions(score(given), scorer, "parquet", to, shown)
    return time.process_time() - start, _peak()


def _predict_proba(directory: Path) -> tuple[float, float]:
    bundle = directory / "storage" / "bundle"
    pipeline = load_pipeline(bundle, _plan_arm(directory).files)
    frame = pd.read_parquet(directory / "rows.parquet")
    start = time.process_time()
    found = pipeline.predict_proba(frame)[:, 1]
    seconds = time.process_time() - start
    np.save(directory / "predict_proba.npy", found)
    return seconds, _peak()


def _plan_arm(directory: Path) -> Arm:
    plan = PublishedPlans(Storage(str(directory / "storage"))).current("adult")
    assert plan is not None
    return plan.live


def _peak() -> float:
    """MiB of this process at its peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _are_equal(directory: Path) -> bool:
    found = pq.read_table(directory / "bulk.parquet")["probability"].to_numpy()
    return bool((found == np.load(directory / "predict_proba.npy")).all())


if __name__ == "__main__":
    sys.exit(main())
