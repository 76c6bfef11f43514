"""What API keys cost on the way of a prediction: the same server without and with them.

``python -m benchmarks.access`` asks two servers in turn, one of which needs a key that is
sent with each request, and ends with 1 if the median of the rounds' ratios of processor
time per request is above the bound. Both get the same bytes: the one without keys
ignores the header.
"""

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import ask, write_bodies
from benchmarks.serving_model import build
from benchmarks.serving_process import free_port, running
from ml_assets.core.api_key import API_KEY

BOUND = 1.02
PATH = "/models/adult/predict"
SECRET = "measured"  # nosec B105 # of a server that ends with the benchmark


def write_keys(file: Path) -> Path:
    """A file of 100 keys, of which the last is the one that is sent."""
    sha256 = hashlib.sha256(SECRET.encode()).hexdigest()
    keys = [
        {"id": f"caller-{number}", "sha256": sha256, "models": ["a*"]}
        | {"routes": ["predict"], "expires": "2999-01-01", "rate": 1e6}
        for number in range(100)
    ]
    file.write_text(json.dumps({"keys": keys}))
    return file


def main() -> int:
    """Run the benchmark; 1 if the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--rounds", type=int, default=9, help="loads of each server")
    arguments = parser.parse_args()
    os.environ[API_KEY] = f"caller-99.{SECRET}"
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        _, rows, data = build(directory)
        bodies = write_bodies(directory, "rows", rows)[0]
        body = bodies.read_bytes().splitlines()[0]
        servers = []
        for keys_file in ("", str(write_keys(directory / "keys.json"))):
            port = free_port()
            command = [
                *(sys.executable, "-m", "ml_assets.serving", "--port", str(port)),
                *("--metrics-port", "0", "--storage", str(directory / "storage")),
                *("--home", str(directory / f"home-{port}")),
                f"--keys-file={keys_file}",
            ]
            process, _ = stack.enter_context(running(command, port, PATH, body))
            servers.append((process.pid, port))
        rounds = [
            [
                ask(pid, port, PATH, bodies, 16, arguments.seconds)
                for pid, port in servers
            ]
            for _ in range(arguments.rounds)
        ]
    if any(figures.errors for pair in rounds for figures in pair):
        print("requests failed")
        return 1
    without, with_keys = [
        statistics.median(pair[at].cpu for pair in rounds) for at in (0, 1)
    ]
    ratio = statistics.median(pair[1].cpu / pair[0].cpu for pair in rounds)
    speed = statistics.median(pair[1].rps / pair[0].rps for pair in rounds)
    print(f"{data}; 1 row, 16 connections, {arguments.rounds} rounds\n")
    print("| without: processor us | with | ratio | requests/s, ratio | bound |")
    print("|---|---|---|---|---|")
    print(
        f"| {without:.2f} | {with_keys:.2f} | {ratio:.3f} | {speed:.3f} |"
        f" {BOUND:g}, {'holds' if ratio <= BOUND else 'MISSED'} |"
    )
    return 0 if ratio <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
