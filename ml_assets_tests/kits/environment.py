"""An environment in small: a cluster, and the webserver and model servers in it.

The cluster is the double of the Kubernetes API. By the webserver, the code location has
the image of the pods that are ready, and a run has the commit of that image. `faults`
maps the digest of a release to what is wrong with it.
"""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ml_assets.delivery.environments import CODE_LOCATION_DEPLOYMENT
from ml_assets.delivery.rollout import CURRENT_IMAGE
from ml_assets.targets.kubernetes import ANNOTATION as PLAN
from ml_assets_tests.kits.doubles import served
from ml_assets_tests.kits.kubernetes_api import LABELS, KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod

CODE = CODE_LOCATION_DEPLOYMENT
SERVERS = "ml-assets-census-income"
# Its model was never deployed: no pod of it is ever ready.
IDLE = "ml-assets-telco-churn"
FIRST = {CODE: "old/base:0.1.0", SERVERS: "old/server:0.1.0", IDLE: "old/server:0.1.0"}
MODEL = {
    "columns": [
        {"name": "age", "kind": "number"},
        {"name": "sex", "kind": "string", "categories": ["Female", "Male"]},
    ],
    "negative": "<=50K",
    "positive": ">50K",
}


class Environment:
    """One environment; `commits` maps the digest of an image to its commit."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.api = KubernetesApi()
        self.api.judge = self._judge
        self.commits: dict[str, str] = {}
        self.faults: dict[str, str] = {}
        self.runs: dict[str, dict[str, str]] = {}
        self.launches = self.asked = self.hiccups = 0
        for name, image in FIRST.items():
            template = _template(name, image)
            self.api.add(name, replicas=2, deadline=2, template=template)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self) -> Iterator["Environment"]:
        with served(self.server), self.api.running():
            yield self

    def variables(self) -> dict[str, str]:
        """The variables that describe it to a delivery."""
        return {
            **self.api.environment(f"K8S_{self.prefix}"),
            f"ML_ASSETS_{self.prefix}_WEBSERVER": self.url,
            f"ML_ASSETS_{self.prefix}_MODELS": f"{self.url}/{{deployment}}",
        }

    def images(self) -> dict[str, str]:
        """Deployment to the image of its template, which is in its variable, too."""
        found = {}
        for name in FIRST:
            (container,) = self.api.template(name)["spec"]["containers"]
            found[name] = container["image"]
            if name == CODE:
                env = {item["name"]: item.get("value") for item in container["env"]}
                assert env[CURRENT_IMAGE] == container["image"]
                assert env["KEPT"] == "yes"
        return found

    def digest(self) -> str:
        """What the ready pods of the code location run; empty where none is ready."""
        ready = [pod for pod in self.api.pods(CODE) if pod.ready]
        images = {_image(pod) for pod in ready}
        return images.pop().rpartition("@")[2] if len(images) == 1 else ""

    def settle(self) -> bool:
        """Whether the pods of what serves are all of the template that there is."""
        return self.api.is_complete(CODE) and self.api.is_complete(SERVERS)

    def fault(self) -> str:
        return self.faults.get(self.digest(), "")

    def _judge(self, pod: Pod) -> str | None:
        digest = _image(pod).rpartition("@")[2]
        if self.faults.get(digest) == "crash" and pod.name.startswith(CODE):
            return "ImportError: no module named ml_assets.defs.new"
        if pod.name.startswith(IDLE):
            return "there is no plan"
        return None

    def _handler(environment) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                self._answer(200, MODEL)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/graphql" and environment.hiccups:
                    environment.hiccups -= 1
                    self._answer(503, {})
                elif self.path == "/graphql":
                    data = environment.resolve(body)
                    # An error that is part of the answer has this status, too.
                    self._answer(
                        500 if "PythonError" in str(data) else 200, {"data": data}
                    )
                else:
                    self._answer(*environment.predict(body))

            def _answer(self, status: int, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def predict(self, body: dict[str, Any]) -> tuple[int, Any]:
        fault = self.fault()
        self.asked += 1
        # One of twenty: the median does not show it.
        if fault == "slow" and self.asked % 20 == 0:
            time.sleep(0.3)
        answer = {"id": str(uuid.uuid4()), "probability": 0.7, "label": ">50K"}
        if fault == "contract":
            answer["label"] = "rich"
        return 200, {"predictions": [answer for _ in body["rows"]]}

    def resolve(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to one of the queries that a delivery sends."""
        query, given = body["query"].split()[1].split("(")[0], body["variables"]
        answers = {
            "Reload": self._reload,
            "Location": self._location,
            "Find": self._find,
            "Launch": self._launch,
            "Run": self._run,
        }
        return answers[query](given)

    def _reload(self, given: dict[str, Any]) -> dict[str, Any]:
        found = {"__typename": "WorkspaceLocationEntry", "name": given["name"]}
        return {"reloadRepositoryLocation": found}

    def _location(self, given: dict[str, Any]) -> dict[str, Any]:
        loaded: dict[str, Any] = {
            "__typename": "RepositoryLocation",
            "repositories": [{"name": "__repository__", "displayMetadata": []}],
        }
        if self.fault() == "location":
            loaded = {"__typename": "PythonError", "message": "NameError: spec"}
        (image,) = {_image(p) for p in self.api.pods(CODE) if p.ready} or {""}
        found = {
            "__typename": "WorkspaceLocationEntry",
            "loadStatus": "LOADED",
            "displayMetadata": [{"key": "image", "value": image}],
            "locationOrLoadError": loaded,
        }
        return {"workspaceLocationEntryOrError": found}

    def _find(self, given: dict[str, Any]) -> dict[str, Any]:
        wanted = {item["key"]: item["value"] for item in given["filter"]["tags"]}
        found = [name for name, tags in self.runs.items() if tags == wanted]
        results = [{"runId": name} for name in found]
        return {"runsOrError": {"__typename": "Runs", "results": results}}

    def _launch(self, given: dict[str, Any]) -> dict[str, Any]:
        run_id = str(uuid.uuid4())
        tags = given["params"]["executionMetadata"]["tags"]
        self.runs[run_id] = {item["key"]: item["value"] for item in tags}
        self.launches += 1
        run = {"__typename": "LaunchRunSuccess", "run": {"runId": run_id}}
        return {"launchRun": run}

    def _run(self, given: dict[str, Any]) -> dict[str, Any]:
        fault, digest = self.fault(), self.digest()
        commit = self.commits.get(digest, "unknown")
        checks = {"pipeline": fault != "smoke", "data_quality": fault != "data"}
        events: list[dict[str, Any]] = [
            {
                "__typename": "MaterializationEvent",
                "metadataEntries": [{"label": "commit", "text": commit}],
            }
        ]
        for name, passed in checks.items():
            found = {"checkName": name, "success": passed, "description": f"{name} is"}
            event = {"__typename": "AssetCheckEvaluationEvent", "evaluation": found}
            events.append(event)
        return {
            "runOrError": {"__typename": "Run", "status": "SUCCESS"},
            "logsForRun": {"__typename": "EventConnection", "events": events},
        }


def environments(patch: Any) -> tuple[Environment, Environment]:
    """Staging and production, named by variables of this process."""
    found = Environment("STAGING"), Environment("PROD")
    for name, value in [*found[0].variables().items(), *found[1].variables().items()]:
        patch.setenv(name, value)
    patch.setenv("ML_ASSETS_RELEASE_PATIENCE", "20")
    patch.setenv("ML_ASSETS_RELEASE_P99_MS", "200")
    return found


def _template(name: str, image: str) -> dict[str, Any]:
    env = [{"name": CURRENT_IMAGE, "value": image}, {"name": "KEPT", "value": "yes"}]
    container = {"name": name, "image": image, "env": env if name == CODE else []}
    annotations = {PLAN: "1-abc"} if name == SERVERS else {}
    labels = {**LABELS, "app": name}
    return {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": {"containers": [container]},
    }


def _image(pod: Pod) -> str:
    return str(pod.template["spec"]["containers"][0]["image"])
