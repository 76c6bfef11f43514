"""Many large bodies at once: the server's memory, and how soon it says that it lives.

``python -m benchmarks.large_bodies`` sends 64 bodies of 8 MiB at once until each was
answered twice, and asks ``/v2/health/live`` every 10 ms meanwhile, on a connection of
its own as a kubelet does: first bodies of as many rows as are answered, then of too
many. It prints the peak of the server's resident memory, the times of those answers,
and the statuses. The senders are processes of their own: their waits for one
interpreter would count as the server's. It ends with 1 if the memory or the longest
time is above its bound.
"""

import http.client
import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from benchmarks.fairness import body_of, write_models
from benchmarks.serving_process import SERVER_CORE, free_port, memory, running

CLIENTS, PROCESSES, BODY_BYTES = 64, 2, 8 * 2**20
ANSWERS, BUSY_SECONDS, EVERY_SECONDS = 2, 1.0, 0.01
# The limit of the chart, and the longest that an answer may take.
MOST_MB, MOST_MS = 512.0, 50.0
_PREDICT = "/models/small/predict"


def main() -> int:
    """Measure; 1 if the server takes more memory or time than it may."""
    # Of 40 numbers, about 8,200 rows are 8 MiB; of 8, four times `max_rows`.
    return int(max(_exceeds(40), _exceeds(8)))


def _exceeds(columns: int) -> bool:
    """Measure with rows of so many numbers."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        frame = write_models(root, ("small",), columns)
        port, metrics_port = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "ml_assets.serving", "--storage", str(root)),
            *("--home", str(root / "home"), "--port", str(port)),
            *("--metrics-port", str(metrics_port)),
        ]
        one = body_of(frame.head(1))
        many, count = _long_body(frame)
        with running(command, port, _PREDICT, one) as (process, _):
            # The clients have the other cores.
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {int(SERVER_CORE)} or {0})
            _send(port, many)
            before = memory(process.pid)
            statuses = multiprocessing.Queue()
            senders = [
                multiprocessing.Process(target=_crowd, args=(port, many, statuses))
                for _ in range(PROCESSES)
            ]
            for sender in senders:
                sender.start()
            peak, seconds = before, []
            while any(sender.is_alive() for sender in senders):
                seconds.append(_live(port))
                peak = max(peak, memory(process.pid))
                time.sleep(EVERY_SECONDS)
    counted = sum((statuses.get() for _ in senders), Counter())
    print(f"{count} rows a body; statuses {dict(counted)}, 0 for cut off")
    print(f"resident memory {before:.0f} MB before, {peak:.0f} MB at its peak")
    middle, high, last = np.quantile(seconds, [0.5, 0.99, 1.0]) * 1000
    print(
        f"/v2/health/live {len(seconds)} times: {middle:.1f} ms, 99 of 100 within"
        f" {high:.1f}, at most {last:.1f}"
    )
    return peak > MOST_MB or last > MOST_MS


def _long_body(frame: pd.DataFrame) -> tuple[bytes, int]:
    """A body of 8 MiB, and its number of rows."""
    rows = map(msgspec.json.encode, itertools.cycle(frame.to_dict(orient="records")))
    chosen, left = [], BODY_BYTES - 20
    while left > (len(row := next(rows)) + 1):
        chosen.append(row)
        left -= len(row) + 1
    return b'{"rows":[%b]}' % b",".join(chosen), len(chosen)


def _crowd(port: int, body: bytes, statuses: Any) -> None:
    """Send a body on many connections, each until it was answered often enough."""
    # Who asks whether the server lives shares their cores, and must not wait for them.
    os.nice(10)
    found: Counter[int] = Counter()

    def repeat() -> None:
        answers = 0
        while answers < ANSWERS:
            status = _send(port, body)
            found[status] += 1
            if status in (0, 503):
                time.sleep(BUSY_SECONDS)
            else:
                answers += 1

    threads = [threading.Thread(target=repeat) for _ in range(CLIENTS // PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses.put(found)


def _send(port: int, body: bytes) -> int:
    """The status of an answer; 0 if refused while the body was still being sent."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        client.request("POST", _PREDICT, body, {"content-type": "application/json"})
        answer = client.getresponse()
        answer.read()
        return answer.status
    except ConnectionError:
        return 0
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
