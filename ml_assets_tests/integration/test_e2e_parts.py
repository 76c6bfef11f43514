"""What the end-to-end tests need, as far as it runs without a cluster."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from ml_assets.targets.clusters.objects import KINDS
from ml_assets.targets.kubernetes import ANNOTATION
from ml_assets_tests.kits import cluster
from ml_assets_tests.kits.chart import ROOT, render
from ml_assets_tests.kits.doubles import served
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.plans import published

MODEL, NAME = "newcomer", "ml-assets-newcomer"
TEMPLATE = "ml-assets-model-template"
E2E = ROOT / "ml_assets_tests" / "e2e"
APIS = (
    client.CoreV1Api,
    client.AppsV1Api,
    client.NetworkingV1Api,
    client.RbacAuthorizationV1Api,
    client.PolicyV1Api,
)


class PodApi(BaseHTTPRequestHandler):
    """The part of an API server that knows pods; keeps what it was asked."""

    asked: list[tuple[str, str]] = []
    log = 'Grüße\n{"requests": 3, "lost": []}\n'

    def answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        self.asked.append((self.command, self.path.partition("?")[0]))
        status, kind, body = 200, "application/json", json.dumps({"status": {}})
        if self.path.endswith("/log"):
            kind, body = "text/plain", self.log
        elif self.path.endswith("/status"):
            body = json.dumps({"status": {"phase": "Succeeded"}})
        elif self.path.endswith("/eviction"):
            status = 429
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *arguments: object) -> None:
        """No line for each request."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[cluster.Site]:
    monkeypatch.setattr(PodApi, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), PodApi)
    config = {
        "current-context": "double",
        "contexts": [
            {"name": "double", "context": {"cluster": "double", "user": "double"}}
        ],
        "clusters": [
            {
                "name": "double",
                "cluster": {"server": f"http://127.0.0.1:{server.server_port}"},
            }
        ],
        "users": [{"name": "double", "user": {"token": "secret"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    with served(server):
        yield cluster.Site("e2e")


def test_a_script_is_run_and_its_log_is_text(site: cluster.Site) -> None:
    assert site.run("another", "another.py", "churn") == PodApi.log
    pods, maps = "/api/v1/namespaces/e2e/pods", "/api/v1/namespaces/e2e/configmaps"
    assert PodApi.asked == [
        ("POST", maps),
        ("POST", pods),
        ("GET", f"{pods}/another/status"),
        ("GET", f"{pods}/another/log"),
        ("DELETE", f"{pods}/another"),
        ("DELETE", f"{maps}/another"),
    ]
    assert site.load("load") == {"requests": 3, "lost": []}
    assert not site.evict("server")


def test_the_client_has_every_call_that_the_tests_make() -> None:
    known = {name for api in APIS for name in dir(api)}
    for file in (Path(cluster.__file__), E2E / "test_cluster.py"):
        called = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute) and "_namespace" in node.attr
        }
        assert called
        assert called - known == set(), file.name


@pytest.mark.slow
def test_the_scripts_deploy_break_and_retire_a_model(tmp_path: Path) -> None:
    """They import nothing but what the image has, and do what the tests await."""
    image = tmp_path / "image"
    image.mkdir()
    (image / "ml_assets").symlink_to(ROOT / "ml_assets")
    (image / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    storage = tmp_path / "storage"
    storage.mkdir()
    plans, api = published(storage), KubernetesApi()

    def judge(pod: Pod) -> str | None:
        pin = pod.annotations.get(ANNOTATION)
        if pin is None or (pin.startswith("1-") and plans.pinned(MODEL, pin)):
            return None
        return f"{MODEL} refused the plan {pin}"

    def run(script: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(E2E / script), *arguments],
            cwd=image,
            env={
                **os.environ,
                **api.environment(),
                "PYTHONPATH": str(image),
                "ML_ASSETS_HOME": str(tmp_path / "home"),
                "ML_ASSETS_STORAGE": str(storage),
                "ML_ASSETS_TARGET": "kubernetes",
                "ML_ASSETS_MODEL_TEMPLATE": TEMPLATE,
            },
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    api.judge = judge
    with api.running():
        for item in render({"modelServer": {"progressDeadlineSeconds": 20}}):
            if item["kind"] in KINDS:
                api.objects.apply(item, "helm")
        run("another.py", "breast_cancer", "--name", MODEL)
        pin = api.annotation(NAME, ANNOTATION)
        assert pin is not None and plans.pinned(MODEL, pin)
        assert "refused the plan" in run("break_rollout.py", MODEL)
        assert api.annotation(NAME, ANNOTATION) == pin
        run("retire.py", MODEL)
        assert api.objects.names(NAME) == set()
