"""The clients that people have, against a real server."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from ml_assets_tests.kits.serving import Server

ROWS = [
    {"age": 41.0, "hours": 40, "married": True, "sex": "Male"},
    {"age": 23.0, "hours": 20, "married": False, "sex": "Female"},
]
PREDICT = "/models/census/predict"


@pytest.fixture
def running(storage):
    with Server(storage, "--cors-origins", "https://a.example") as server:
        server.wait_for("plan loaded")
        yield server


def probabilities(server):
    return [item["probability"] for item in server.predict(ROWS)["predictions"]]


@pytest.mark.parametrize("params", [None, {"temperature": 0.5}])
def test_mlflow_s_scoring_client(running, params):
    client = ScoringServerClient("127.0.0.1", running.port)
    client.wait_server_ready(timeout=30)
    assert client.get_version()
    found = client.invoke(pd.DataFrame(ROWS), params=params)
    labels = [item["label"] for item in running.predict(ROWS)["predictions"]]
    assert found.get_predictions()[0].tolist() == labels
    with pytest.raises(Exception, match="BAD_REQUEST.*column 'age'"):
        client.invoke(pd.DataFrame(ROWS).assign(age="old"))


def curl(server, path, *arguments):
    """Status, headers and body of an answer, as curl has them."""
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--include", "--max-time", "30"),
            *(*arguments, f"http://127.0.0.1:{server.port}{path}"),
        ],
        capture_output=True,
        check=True,
    )
    head, _, body = done.stdout.rpartition(b"\r\n\r\n")
    *_, head = head.split(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(running, tmp_path):
    body = json.dumps({"rows": ROWS}).encode()
    (tmp_path / "rows.json").write_bytes(body)
    (tmp_path / "rows.json.gz").write_bytes(gzip.compress(body))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(2**26)))
    (tmp_path / "rows.csv").write_text(pd.DataFrame(ROWS).to_csv(index=False))
    json_ = ("-H", "content-type: application/json")
    gzipped = (*json_, "-H", "content-encoding: gzip", "--data-binary")
    found = [
        curl(running, PREDICT, *json_, "--data", f"@{tmp_path / 'rows.json'}"),
        curl(running, PREDICT, *gzipped, f"@{tmp_path / 'rows.json.gz'}"),
        # curl asks for another protocol, which is not there.
        curl(running, PREDICT, "--http2", *json_, "--data", body.decode()),
        curl(running, PREDICT, "-H", "expect: 100-continue", *json_, "-d", body),
    ]
    assert [status for status, _, _ in found] == [200] * 4
    expected = probabilities(running)
    for _, _, answer in found:
        predictions = json.loads(answer)["predictions"]
        assert [item["probability"] for item in predictions] == expected
    status, headers, _ = curl(running, PREDICT, *gzipped, f"@{tmp_path / 'bomb.gz'}")
    assert status == 413 and headers["x-request-id"]
    csv = ("-H", "content-type: text/csv", "--data-binary")
    status, _, answer = curl(running, "/invocations", *csv, f"@{tmp_path / 'rows.csv'}")
    assert json.loads(answer)["probabilities"] == expected
    asks = ("-X", "OPTIONS", "-H", "origin: https://a.example")
    status, headers, _ = curl(
        running, PREDICT, *asks, "-H", "access-control-request-method: POST"
    )
    assert headers["access-control-allow-origin"] == "https://a.example"
    status, headers, _ = curl(
        running, "/models", "-H", "host: a", "-H", "X: " + "b" * 40_000
    )
    assert status == 431 and headers["x-request-id"]


@pytest.mark.parametrize("is_split", [False, True])
def test_a_request_as_java_sends_it_is_answered_by_http_1_1(running, is_split):
    """The first request of java.net.http.HttpClient asks to go on with HTTP/2."""
    body = json.dumps({"rows": ROWS}).encode()
    head = (
        f"POST {PREDICT} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        f"Content-Length: {len(body)}\r\nHost: 127.0.0.1:{running.port}\r\n"
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        "Upgrade: h2c\r\nUser-Agent: Java-http-client/21\r\n"
        "Content-Type: application/json\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as given:
        # Twice: the connection goes on.
        for _ in range(2):
            parts = (head, body) if is_split else (head + body,)
            for part in parts:
                given.sendall(part)
            reader = given.makefile("rb")
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            lines = iter(reader.readline, b"\r\n")
            headers = dict(
                line.decode().lower().strip().split(": ", 1) for line in lines
            )
            answer = json.loads(reader.read(int(headers["content-length"])))
            assert len(answer["predictions"]) == 2


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The Python of an environment with Triton's and KServe's client libraries."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        pytest.skip("uv is not installed")
    root = tmp_path_factory.mktemp("clients") / "environment"
    python = root / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(root)],
        [*install, "tritonclient[http]>=2.40", "kserve>=0.15"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=540)
        if done.returncode:
            pytest.skip(f"the package index does not answer: {done.stderr[-300:]}")
    return python


@pytest.mark.slow
def test_triton_s_and_kserve_s_client_libraries(running, environment):
    script = Path(__file__).with_name("clients.py")
    done = subprocess.run(
        [environment, script, str(running.port)],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [float(text) for text in done.stdout.split()] == probabilities(running)
