"""The pod of `helm test`, against a server that answers as ours does."""

import http.server
import json
import runpy
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from ml_assets_tests.kits.chart import CHART, pick, pods, render
from ml_assets_tests.kits.doubles import served

NAME = "ml-assets-breast-cancer"
READY, MODEL = "/v2/health/ready", "/models/m"


class _ModelServer(http.server.BaseHTTPRequestHandler):
    """Answers to the routes of `answers`, and remembers who asked for what."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    asked: ClassVar[list[tuple[str, str, str | None]]] = []

    def do_GET(self) -> None:
        key = self.headers.get("authorization")
        self.asked.append((self.command, self.path, key))
        status, value = self.answers.get(self.path, (404, {"detail": "no such route"}))
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def model_server() -> Iterator[str]:
    httpd = http.server.HTTPServer(("127.0.0.1", 0), _ModelServer)
    _ModelServer.asked.clear()
    with served(httpd):
        yield f"http://127.0.0.1:{httpd.server_port}"


@pytest.mark.parametrize(
    "answers, code, message",
    [
        ({READY: (200, {}), MODEL: (200, {"version": "v1"})}, 0, "version v1 of m is"),
        ({READY: (503, {}), MODEL: (200, {"version": "v1"})}, 1, "ready answered 503"),
        ({READY: (200, {})}, 1, "no version of m is deployed yet"),
        ({READY: (200, {}), MODEL: (401, {})}, 1, "/models/m answered 401"),
    ],
)
def test_the_test_pod_says_which_version_is_served_or_why_none_is(
    model_server: str,
    capsys: pytest.CaptureFixture[str],
    answers: dict[str, tuple[int, Any]],
    code: int,
    message: str,
) -> None:
    _ModelServer.answers = answers
    script = runpy.run_path(str(CHART / "files" / "serving.py"))
    assert script["main"](model_server, "m") == code
    assert message in capsys.readouterr().out
    # A prediction would be in the log, and in what is made of it.
    assert {method for method, _, _ in _ModelServer.asked} == {"GET"}


def test_the_test_pod_sends_the_key_of_its_secret(
    model_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_API_KEY", "helm-test.abc")
    _ModelServer.answers = {READY: (200, {}), MODEL: (200, {"version": "v1"})}
    runpy.run_path(str(CHART / "files" / "serving.py"))["main"](model_server, "m")
    assert _ModelServer.asked[-1] == ("GET", MODEL, "Bearer helm-test.abc")


def test_the_test_pod_says_that_a_server_cannot_be_reached(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = runpy.run_path(str(CHART / "files" / "serving.py"))
    assert script["main"]("http://127.0.0.1:1", "m") == 1
    assert "http://127.0.0.1:1 cannot be reached" in capsys.readouterr().out


def test_the_test_pod_runs_that_script_against_the_first_model() -> None:
    objects = render()
    (container,) = pick(objects, "Pod", "ml-assets-test")["spec"]["containers"]
    url = f"http://{NAME}.ml.svc.cluster.local:8080"
    assert container["args"][2:] == [url, "breast_cancer"]
    script = pick(objects, "ConfigMap", "ml-assets-test")["data"]["serving.py"]
    assert script.strip() == (CHART / "files" / "serving.py").read_text().strip()


def test_the_test_pod_may_reach_the_servers_and_nothing_else() -> None:
    objects = render()
    (pod,) = [pod for pod in pods(objects) if pod.owner == "Pod/ml-assets-test"]
    policy = pick(objects, "NetworkPolicy", "ml-assets-test")["spec"]
    wanted = policy["podSelector"]["matchLabels"].items()
    assert wanted <= pod.metadata["labels"].items()
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
