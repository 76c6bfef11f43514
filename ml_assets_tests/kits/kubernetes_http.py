"""The HTTP half of the Kubernetes API in small: routes, answers and faults."""

import copy
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ml_assets.targets.clusters.objects import APPLY_PATCH
from ml_assets_tests.kits.kubernetes_controller import Object
from ml_assets_tests.kits.kubernetes_objects import NAMESPACE, kind_and_name, status_of

if TYPE_CHECKING:
    from ml_assets_tests.kits.kubernetes_api import KubernetesApi

TOKEN = "t0ken"


def handler_of(api: "KubernetesApi") -> type[BaseHTTPRequestHandler]:
    """Serves the cluster as the API does, or fails as a fault of it demands."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else what is written in two parts waits 40 ms for the client's kernel.
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            self._serve(lambda: None)

        def do_PATCH(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            self._serve(lambda: body)

        def do_DELETE(self) -> None:
            # The client sends options, or none.
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            self._serve(lambda: None)

        def _serve(self, body: Callable[[], Any]) -> None:
            api.requests.append(f"{self.command} {self.path}")
            fault = self._fault()
            if api.is_down or (fault and fault["status"] is None):
                if fault and fault["is_done"]:
                    self._route(body())
                self.close_connection = True
                self.connection.close()
                return
            if fault:
                status, text = fault["status"], "injected"
                self._answer(status, status_of(status, text), fault["headers"])
                return
            answer = self._route(body())
            if answer is not None:
                self._answer(*answer)

        def _fault(self) -> dict[str, Any] | None:
            for fault in api.faults:
                if fault["method"] in ("", self.command):
                    api.faults.remove(fault)
                    return fault
            return None

        def _route(self, body: Any) -> tuple[int, Object] | None:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return 401, status_of(401, "Unauthorized")
            url = urlsplit(self.path)
            query = {name: item[0] for name, item in parse_qs(url.query).items()}
            core, apps = f"/api/v1/namespaces/{NAMESPACE}/", "/apis/apps/v1"
            if url.path == f"{core}pods":
                return 200, {"items": api.pod_objects(query["labelSelector"])}
            if url.path.startswith(f"{core}pods/"):
                return self._log(url.path.removeprefix(f"{core}pods/"), query)
            if url.path == f"{core}events":
                return 200, {"items": events_of(query["fieldSelector"])}
            listed = f"{apps}/namespaces/{NAMESPACE}/deployments"
            if url.path == listed:
                return self._watch(query)
            kind, name = kind_and_name(url.path)
            is_apply = self.headers["Content-Type"] == APPLY_PATCH
            if kind != "Deployment" or is_apply or self.command == "DELETE":
                return api.objects.answer(self.command, kind, name, body, query)
            if name not in api.deployments:
                return 404, status_of(404, f'deployments.apps "{name}" not found')
            if self.command == "GET":
                with api.changed:
                    return 200, copy.deepcopy(api.deployments[name])
            if self.headers["Content-Type"] != "application/merge-patch+json":
                return 415, status_of(415, "unsupported media type")
            # Without a name the API would call the manager by the client's agent.
            if "fieldManager" not in query:
                return 400, status_of(400, "the test wants fieldManager")
            return api.patch(name, body, query["fieldManager"])

        def _log(self, path: str, query: dict[str, str]) -> tuple[int, Object] | None:
            """The end of a container's log, as plain text."""
            lines = api.log_of(path.removesuffix("/log"), query["container"])
            data = "\n".join(lines[-int(query["tailLines"]) :]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return None

        def _watch(self, query: dict[str, str]) -> tuple[int, Object] | None:
            selector = query.get("fieldSelector", "")
            if not api.may_watch or not selector.startswith("metadata.name="):
                return 403, status_of(403, "deployments.apps is forbidden")
            name = selector.removeprefix("metadata.name=")
            version, seconds = query["resourceVersion"], query["timeoutSeconds"]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in api.events_after(name, int(version), float(seconds)):
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if not api.is_down:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True
            return None

        def _answer(
            self, status: int, value: Object, headers: dict[str, str] | None = None
        ) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name.replace("_", "-"), text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def events_of(selector: str) -> list[Object]:
    pod = dict(item.split("=") for item in selector.split(","))["involvedObject.name"]
    text = f"Readiness probe failed: HTTP probe failed with statuscode: 503 ({pod})"
    return [
        {"type": "Normal", "reason": "Started", "message": "Started container"},
        {"type": "Warning", "reason": "Unhealthy", "message": text},
    ]
