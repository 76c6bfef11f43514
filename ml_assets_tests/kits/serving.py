"""Real bundles, real server processes, and a client that loses no answer."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.core.logs import labelled
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, ServingPlan, Signature
from ml_assets.serving.models.bundle import Manifest, write_bundle
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.models.rendezvous import Rendezvous
from ml_assets_tests.kits.patience import PATIENCE

SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        Column(name="hours", kind="integer"),
        Column(name="married", kind="boolean"),
        Column(name="sex", kind="string", categories=("Female", "Male")),
    ),
    target="income",
    negative="<=50K",
    positive=">50K",
)


def write_version(root: Path, version: str, seed: int) -> Arm:
    """Write the bundle of a small pipeline, which is trained once for each seed."""
    contents, manifest = _trained(seed)
    directory = root / "bundles" / version
    directory.mkdir(parents=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return Arm(
        version=version,
        bundle=f"bundles/{version}",
        files=dict(manifest.files),
        runtime=manifest.runtime,
    )


@cache
def _trained(seed: int) -> tuple[dict[str, bytes], Manifest]:
    """The files of the bundle of a small pipeline, and what is known of them."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, 600).astype(float),
            "hours": rng.integers(1, 99, 600),
            "married": rng.random(600) < 0.5,
            "sex": rng.choice(["Female", "Male"], 600),
        }
    )
    labels = frame["age"] + frame["hours"] + rng.normal(0, 20, 600) > 100
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer(
        [
            ("numeric", "passthrough", ["age", "hours", "married"]),
            ("categorical", encoder, ["sex"]),
        ]
    )
    estimator = HistGradientBoostingClassifier(max_iter=20, random_state=seed)
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    pipeline.fit(frame, labels.astype(int))
    with TemporaryDirectory() as directory:
        bundle = Path(directory) / "bundle"
        manifest = write_bundle(bundle, pipeline, SIGNATURE, frame.head(50))
        return {path.name: path.read_bytes() for path in bundle.iterdir()}, manifest


def plan(arm: Arm, generation: int, model: str = "census") -> ServingPlan:
    return ServingPlan(
        model=model,
        generation=generation,
        arms=(arm,),
        created_at="2026-11-23T02:00:00Z",
        reason="test",
    )


def rows(count: int) -> list[dict[str, Any]]:
    """Rows that differ, so that a mixed-up answer is noticed."""
    rng = np.random.default_rng(7)
    return [
        {
            "age": None if index % 17 == 0 else float(rng.integers(17, 90)),
            "hours": int(rng.integers(1, 99)),
            "married": bool(rng.random() < 0.5),
            "sex": str(rng.choice(["Female", "Male"])),
        }
        for index in range(count)
    ]


def answers(root: Path, arm: Arm, given: list[dict[str, Any]]) -> list[float]:
    """What the version answers, by its own runtime in this process."""
    from ml_assets.serving.models.bundle import load_runtime

    runtime = load_runtime(root / arm.bundle, arm.files)
    names = [column.name for column in SIGNATURE.columns]
    return [runtime.predict_one([row[name] for name in names]) for row in given]


def matches(line: dict[str, Any], message: str, fields: dict[str, Any]) -> bool:
    """Whether a log line has this message, and these fields under their ECS names."""
    return line["message"] == message and labelled(fields).items() <= line.items()


class Server:
    """``python -m ml_assets.serving`` as a process, and its log lines.

    Its storage and its home are the directory `root`, or what is given of them.
    """

    def __init__(
        self,
        root: Path,
        *arguments: str,
        storage: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        url = storage or str(root)
        self.plans = PublishedPlans(Storage(url))
        self.rendezvous = Rendezvous(root)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ml_assets.serving", "--storage", url),
                *("--home", str(root), "--port", "0", "--metrics-port", "0"),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )
        self.lines: Queue[dict[str, Any]] = Queue()
        self.seen: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()
        started = self.wait_for("server started")
        self.port = started["server.port"]
        self.metrics_port = started["metrics.port"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.lines.put(json.loads(line))
            except ValueError:
                self.lines.put({"message": f"not JSON: {line!r}"})

    def wait_for(self, message: str, **fields: Any) -> dict[str, Any]:
        """The next log line with this message and these fields."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                line = self.lines.get(timeout=0.2)
                self.seen.append(line)
                if matches(line, message, fields):
                    return line
                continue
            if self.process.poll() is not None and self.lines.empty():
                break
        ended = self.process.poll()
        state = "runs" if ended is None else f"ended with {ended}"
        raise AssertionError(
            f"no line {message!r} {fields}, the server {state}; it logged {self.seen}"
        )

    def logged(self, message: str, **fields: Any) -> dict[str, Any]:
        """Such a log line, be it one that was read while another was waited for."""
        for line in self.seen:
            if matches(line, message, fields):
                return line
        return self.wait_for(message, **fields)

    def get(self, path: str, port: int | None = None) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def predict(self, given: list[dict[str, Any]], model: str = "census") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/models/{model}/predict",
            json.dumps({"rows": given}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    @property
    def memory(self) -> int:
        """Resident memory in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(item for item in text.splitlines() if item.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Load:
    """Connections that ask without pause and compare every answer.

    `expected` maps a version to its answers to `given`, one each; those of a version
    that it does not have are only counted. A connection that the server closes is the
    end of its questions, unless the load `reconnects`. Between two of its questions it
    is silent for `pause` seconds.
    """

    def __init__(
        self,
        port: int,
        given: list[dict[str, Any]],
        expected: dict[str, list[float]],
        connections: int,
        reconnects: bool = False,
        model: str = "census",
        pause: float = 0.0,
    ) -> None:
        self.port = port
        self.reconnects = reconnects
        self.pause = pause
        self.expected = expected
        self.connections = connections
        self.answered: Counter[str] = Counter()
        self.order: list[str] = []
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.closed = 0
        self._requests = [self._encode(model, {"rows": [row]}) for row in given]
        self._stop = asyncio.Event()

    @staticmethod
    def _encode(model: str, body: dict[str, Any]) -> bytes:
        data = json.dumps(body).encode()
        return (
            b"POST /models/%b/predict HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (model.encode(), len(data))
        ) + data

    async def run(self, during: Any) -> None:
        """Ask while the coroutine `during` runs."""
        tasks = [
            asyncio.create_task(self._connection(index))
            for index in range(self.connections)
        ]
        try:
            await during
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)

    async def _connection(self, index: int) -> None:
        await self._converse(index)
        while self.reconnects and not self._stop.is_set():
            await self._converse(index)

    async def _converse(self, index: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        step = 0
        while not self._stop.is_set():
            number = (index + step) % len(self._requests)
            step += 1
            try:
                writer.write(self._requests[number])
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
                break
            self._check(number, head, body)
            if b"connection: close" in head:
                self.closed += 1
                break
            if self.pause:
                await asyncio.sleep(self.pause)
        writer.close()

    def _check(self, number: int, head: bytes, body: Any) -> None:
        if b" 200 " not in head.partition(b"\r\n")[0]:
            self.wrong.append(str(body))
            return
        version = body["version"]
        if not self.answered[version]:
            self.order.append(version)
        self.answered[version] += 1
        found = body["predictions"][0]["probability"]
        if version in self.expected and found != self.expected[version][number]:
            self.wrong.append(f"row {number} of {version}: {found}")


def slow_client(port: int, first: bytes = b"GET /models HTTP/1.1\r\nx: ") -> Any:
    """A connection that sent the start of a request."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(first)
    return connection
