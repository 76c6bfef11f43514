"""The pod of `helm test`, against a server that describes itself as ours does."""

import http.server
import json
import runpy
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from ml_assets_tests.kits.chart import CHART, Object, pick, render
from ml_assets_tests.kits.doubles import served

NAME = "ml-assets-breast-cancer"


class _ModelServer(http.server.BaseHTTPRequestHandler):
    """Describes one model and predicts for its example row."""

    document: ClassVar[Object] = {}

    def do_GET(self) -> None:
        self._answer(200, self.document)

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = 200 if row == {"rows": [{"age": 1.5}]} else 422
        self._answer(status, {"version": "v1", "predictions": [{"probability": 0.25}]})

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def model_server() -> Iterator[str]:
    httpd = http.server.HTTPServer(("127.0.0.1", 0), _ModelServer)
    with served(httpd):
        yield f"http://127.0.0.1:{httpd.server_port}"


def _document(row: Object) -> Object:
    content = {"application/json": {"example": {"rows": [row]}}}
    return {
        "paths": {"/models/m/predict": {"post": {"requestBody": {"content": content}}}}
    }


@pytest.mark.parametrize(
    "document, code, message",
    [
        (_document({"age": 1.5}), 0, "version v1 of m answered 0.25"),
        (_document({"age": 2.5}), 1, "answered 422"),
        ({"paths": {}}, 1, "serves no version of m yet"),
    ],
)
def test_the_test_pod_predicts_or_says_why_not(
    model_server: str,
    capsys: pytest.CaptureFixture[str],
    document: Object,
    code: int,
    message: str,
) -> None:
    _ModelServer.document = document
    script = runpy.run_path(str(CHART / "files" / "predict.py"))
    assert script["main"](model_server, "m") == code
    assert message in capsys.readouterr().out


def test_the_test_pod_runs_that_script_against_the_first_model() -> None:
    objects = render()
    (container,) = pick(objects, "Pod", "ml-assets-test")["spec"]["containers"]
    assert container["args"][2:] == [f"http://{NAME}:8080", "breast_cancer"]
    script = pick(objects, "ConfigMap", "ml-assets-test")["data"]["predict.py"]
    assert script.strip() == (CHART / "files" / "predict.py").read_text().strip()
