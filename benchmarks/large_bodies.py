"""Many large bodies at once: the server's memory, and how soon it says that it lives.

``python -m benchmarks.large_bodies`` sends 64 bodies of 8 MiB at once, all of rows, and
asks ``/v2/health/live`` meanwhile. It prints the peak of the server's resident memory,
the times of those answers, and the statuses. It ends with 1 if the memory is above its
bound.
"""

import http.client
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.fairness import body_of, write_models
from benchmarks.serving_process import free_port, memory, running

CLIENTS, BODY_BYTES = 64, 8 * 2**20
# The limit of the chart.
MOST_MB = 512.0


def main() -> int:
    """Measure; 1 if the server takes more memory than its container has."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        frame = write_models(root, ("small",))
        port, metrics_port = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "ml_assets.serving", "--storage", str(root)),
            *("--home", str(root / "home"), "--port", str(port)),
            *("--metrics-port", str(metrics_port)),
        ]
        one = body_of(frame.head(1))
        row = msgspec.json.encode(frame.head(1).to_dict(orient="records")[0])
        count = (BODY_BYTES - 20) // (len(row) + 1)
        many = b'{"rows":[%b]}' % b",".join([row] * count)
        with running(command, port, "/models/small/predict", one) as (process, _):
            before = memory(process.pid)
            statuses: Counter[int] = Counter()
            threads = [
                threading.Thread(target=_send, args=(port, many, statuses))
                for _ in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            peak, seconds = before, []
            while any(thread.is_alive() for thread in threads):
                seconds.append(_live(port))
                peak = max(peak, memory(process.pid))
    print(f"{count} rows a body; statuses {dict(statuses)}, 0 for cut off")
    print(f"resident memory {before:.0f} MB before, {peak:.0f} MB at its peak")
    middle, last = np.quantile(seconds, [0.5, 1.0]) * 1000
    print(f"/v2/health/live {len(seconds)} times: {middle:.1f} ms, at most {last:.1f}")
    return int(peak > MOST_MB)


def _send(port: int, body: bytes, statuses: Counter[int]) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"content-type": "application/json"}
    try:
        client.request("POST", "/models/small/predict", body, headers)
        answer = client.getresponse()
        answer.read()
        statuses[answer.status] += 1
    except ConnectionError:
        # Refused while the body was still being sent.
        statuses[0] += 1
    finally:
        client.close()


def _live(port: int) -> float:
    """Seconds to the answer that the server lives, on a connection of its own."""
    started = time.perf_counter()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request("GET", "/v2/health/live")
    client.getresponse().read()
    client.close()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
