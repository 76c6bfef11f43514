"""What API keys add to a prediction, as a share of the processor time of its request.

``python -m benchmarks.access`` times the check of a key that was sent before, which is
all that a prediction with one does more, and serves a model with and without keys, two
servers on one core that are asked the same in turn. Both are started several times: how
a process lies in memory changes its time by more than what is compared. It ends with 1
if the check is more than 2 % of the time of a request, or if the server with keys takes
more than 2 % more in the median of the starts. The least of many short loads counts for
the check: what else runs on the machine only adds to it.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import timeit
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.serving import Figures, write_bodies
from benchmarks.serving_model import build
from benchmarks.serving_process import free_port, running
from benchmarks.serving_rounds import PATH, Turn, rounds, spread
from ml_assets.serving.access.callers import Verdict
from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.metrics.collector import Metrics

BOUND = 0.02
KEYS = 100
LOADS, CHECKS = 500, 1000
KEY = f"caller-{KEYS - 1}.secret"


def write_keys(directory: Path, more: dict[str, Any]) -> Path:
    """A file of keys, of which `KEY` is the last."""
    sha256 = hashlib.sha256(b"secret").hexdigest()
    grant = {"sha256": sha256, "models": ["a*"], "routes": ["predict"], **more}
    file = directory / "keys.json"
    keys = [{"id": f"caller-{number}", **grant} for number in range(KEYS)]
    file.write_text(json.dumps({"keys": keys}))
    return file


def check_seconds(file: Path) -> float:
    """Seconds to check, and to count, a key that is among many."""
    metrics = Metrics()
    admission = Admission(FollowedKeys(file, metrics.callers), metrics)
    credential, verdict = KEY.encode(), Verdict()

    def check() -> None:
        caller = admission.admit_again(verdict, credential, "adult", perf_counter())
        caller.statuses[200] += 1

    return min(timeit.repeat(check, number=CHECKS, repeat=LOADS)) / CHECKS


def pairs(
    directory: Path, bodies: Path, file: Path, loads: int, seconds: int
) -> list[list[Figures]]:
    """The figures of a server without keys, and of one with those of the file."""
    body = bodies.read_bytes().splitlines()[0]
    turns: list[Turn] = []
    with ExitStack() as stack:
        for key, more in (("", []), (KEY, ["--keys-file", str(file)])):
            port = free_port()
            command = [
                *(sys.executable, "-m", "ml_assets.serving", "--port", str(port)),
                *("--metrics-port", "0", "--storage", str(directory / "storage")),
                *("--home", str(directory / f"home{len(turns)}"), *more),
            ]
            process, _ = stack.enter_context(running(command, port, PATH, body, key))
            # The same requests for both: what is compared is what the server does.
            turns.append(Turn(process.pid, port, (f"X-API-Key: {KEY}",)))
        return rounds(turns, bodies, loads, seconds)


def main() -> int:
    """Run the benchmark; 1 if the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=1, help="length of each load")
    parser.add_argument("--loads", type=int, default=4, help="loads of each server")
    parser.add_argument("--starts", type=int, default=9, help="starts of both servers")
    arguments = parser.parse_args()
    kinds: dict[str, dict[str, Any]] = {
        "no end and any rate": {},
        "an expiry and a rate": {"expires": "2999-01-01", "rate": 1e9},
    }
    shares = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        checks = {
            kind: check_seconds(write_keys(directory, more))
            for kind, more in kinds.items()
        }
        _, rows, _ = build(directory, False)
        bodies = write_bodies(directory, "rows", rows)[0]
        # With the keys that were written last, which cost the most.
        file = directory / "keys.json"
        found = [
            pairs(directory, bodies, file, arguments.loads, arguments.seconds)
            for _ in range(arguments.starts)
        ]
    whole = min(item.cpu for without, _ in found for item in without) / 1e6
    print("| key with | its check, us | request, us | share | bound 0.02 |")
    print("|---|---|---|---|---|")
    for kind, added in checks.items():
        shares.append(added / whole)
        print(
            f"| {kind} | {1e6 * added:.2f} | {1e6 * whole:.1f} | {shares[-1]:.4f} |"
            f" {_verdict(shares[-1])} |"
        )
    ratios = spread([_ratio(pair, "cpu") for pair in found])
    rates = spread([_ratio(pair, "rps") for pair in found])
    shares.append(ratios.median - 1)
    print(
        f"\n{arguments.starts} starts, with keys as a multiple of without, median and"
        f" quartiles: processor time {ratios}, requests/s {rates};"
        f" {_verdict(shares[-1])}"
    )
    return 0 if max(shares) <= BOUND else 1


def _ratio(pair: list[list[Figures]], name: str) -> float:
    """A figure with keys as a multiple of that without, the median of the loads."""
    without, with_keys = (
        statistics.median(getattr(item, name) for item in loads) for loads in pair
    )
    return float(with_keys / without)


def _verdict(share: float) -> str:
    return "holds" if share <= BOUND else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
