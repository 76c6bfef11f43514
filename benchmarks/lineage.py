"""How long `explain` takes with a day of a million logged predictions.

``python -m benchmarks.lineage`` writes the day in a temporary storage, once as shipped
segments and once compacted to Parquet, explains random predictions of it in this
process, and times the command from a cold start.
"""

import argparse
import json
import os
import random
import statistics
import subprocess  # nosec B404 - runs this interpreter with fixed arguments only
import sys
import tempfile
import time
from pathlib import Path

from ml_assets.lifecycle.compaction import compact
from ml_assets_tests.kits.prediction_log import line, ship
from ml_assets_tests.kits.records import add_version, serve_version

MIDNIGHT = 1_763_856_000.0  # 2025-11-23T00:00:00Z
VERSION = "20251122T020000Z"
SEGMENT_ROWS = 50_000


def main() -> None:
    """Write the day, explain, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--explained", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ML_ASSETS_HOME"] = scratch
        root = Path(scratch)
        serve_version(root, add_version(root, VERSION))
        ids = _day(root, options.predictions)
        chosen = random.Random(0).sample(ids, options.explained)  # nosec B311
        print(f"{len(ids):,} predictions of one day, {os.cpu_count()} CPUs")
        _measure("shipped segments", chosen[:20])
        compact("churn", "predictions")
        _measure("Parquet", chosen)


def _day(root: Path, count: int) -> list[str]:
    """Ship a day's predictions; their ids."""
    ids = []
    for start in range(0, count, SEGMENT_ROWS):
        rows = [
            line(MIDNIGHT + number * 86_000 / count, number, version=VERSION)
            for number in range(start, min(start + SEGMENT_ROWS, count))
        ]
        ship(root, rows, f"server-{start:08d}")
        ids += [row["id"] for row in rows]
    return ids


def _measure(place: str, ids: list[str]) -> None:
    from ml_assets.lifecycle.lineage import lineage

    seconds, matching = [], 0
    for prediction_id in ids:
        started = time.perf_counter()
        found = lineage(prediction_id)
        seconds.append(time.perf_counter() - started)
        hashes = found["hashes"]
        matching += not found["problems"] and all(item["matches"] for item in hashes)
    seconds.sort()
    print(
        f"{place}: {matching} of {len(ids)} explained with every hash as written;"
        f" median {statistics.median(seconds) * 1e3:.1f} ms,"
        f" 99th percentile {seconds[int(len(seconds) * 0.99)] * 1e3:.1f} ms"
    )
    print(f"{place}: the command, from a cold start: {_command(ids[0]):.2f} s")


def _command(prediction_id: str) -> float:
    command = [sys.executable, "-m", "ml_assets.cli", "lineage", prediction_id]
    started = time.perf_counter()
    done = subprocess.run(  # nosec B603 - fixed arguments
        [*command, "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["id"] == prediction_id  # nosec B101
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
