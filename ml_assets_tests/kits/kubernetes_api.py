"""A Kubernetes API server in small, over real HTTP: Deployments, pods and events.

Other kinds are kept as they are applied, see `kubernetes_objects`.

It keeps to what the API documents: resourceVersion and 409, metadata.generation and
status.observedGeneration, JSON merge patches, who owns a field, server-side apply,
watches that end, 410 for a version that is forgotten. It demands the bearer token, and
grants list and watch of Deployments only to requests with the field selector of one
name, as the chart's role does. Faults are injected by `fail`, `cut`, `is_down` and
`forget`.
"""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from ml_assets.targets.clusters import Cluster, connect
from ml_assets_tests.kits.kubernetes_controller import Object, Pod, ReplicaSets, sync
from ml_assets_tests.kits.kubernetes_fields import Owners
from ml_assets_tests.kits.kubernetes_http import TOKEN, handler_of
from ml_assets_tests.kits.kubernetes_objects import NAMESPACE, Objects, status_of

LABELS = {"app.kubernetes.io/name": "ml-assets"}


class KubernetesApi:
    """The cluster; `judge` returns what keeps a pod from being ready, or None."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.deployments: dict[str, Object] = {}
        self.sets: dict[str, ReplicaSets] = {}
        self.owners: dict[str, Owners] = {}
        self.objects = Objects(self)
        self.history: list[tuple[int, Object]] = []
        self.oldest = 0
        self.version = 0
        self.judge: Callable[[Pod], str | None] = lambda pod: None
        self.stop: Callable[[Pod], None] = lambda pod: None
        self.log: Callable[[Pod], list[str]] = lambda pod: []
        self.patches: list[tuple[str, Object]] = []
        self.requests: list[str] = []
        self.faults: list[dict[str, Any]] = []
        self.is_down = False
        self.may_watch = True
        self.watch_seconds = 60.0
        self.before_patch: Callable[[str, Object], None] = lambda name, patch: None
        self._stopping = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self) -> Iterator["KubernetesApi"]:
        threads = [
            threading.Thread(target=self.server.serve_forever, args=(0.05,)),
            threading.Thread(target=self._control),
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self.server.shutdown()
            self.server.server_close()
            for thread in threads:
                thread.join()

    def cluster(self, patience: float = 10.0) -> Cluster:
        return Cluster(connect("K8S", self.environment()), patience=patience)

    def environment(self, prefix: str = "K8S") -> dict[str, str]:
        return {
            f"{prefix}_SERVER": self.url,
            f"{prefix}_TOKEN": TOKEN,
            f"{prefix}_NAMESPACE": NAMESPACE,
        }

    def add(self, name: str, replicas: int = 2, deadline: int = 2, **spec: Any) -> None:
        """A Deployment with one container, which may bring its own pod template."""
        container = {"name": "model-server", "image": "server@sha256:1", "env": []}
        template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
        with self.changed:
            self.deployments[name] = {
                "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
                "spec": {
                    "replicas": replicas,
                    "progressDeadlineSeconds": deadline,
                    "selector": {"matchLabels": LABELS},
                    "template": template,
                    **spec,
                },
            }
            self.sets[name] = ReplicaSets()
            self.owners[name] = Owners()
            self._store(name, "ADDED")

    def delete(self, name: str) -> None:
        """Delete a Deployment, and its pods with it."""
        with self.changed:
            self._store(name, "DELETED")
            del self.deployments[name], self.owners[name]
            for pod in self.sets.pop(name).pods:
                self.stop(pod)

    def template(self, name: str) -> Object:
        with self.changed:
            return copy.deepcopy(self.deployments[name]["spec"]["template"])

    def annotation(self, name: str, key: str) -> str | None:
        return (self.template(name)["metadata"].get("annotations") or {}).get(key)

    def pods(self, name: str) -> list[Pod]:
        with self.changed:
            return list(self.sets[name].pods)

    def is_complete(self, name: str) -> bool:
        with self.changed:
            deployment = self.deployments[name]
            pods, spec = self.sets[name].pods, deployment["spec"]
            return len(pods) == spec["replicas"] and all(
                pod.ready and pod.template == spec["template"] for pod in pods
            )

    def fail(
        self, status: int, times: int = 1, method: str = "", **headers: str
    ) -> None:
        """Answer the next requests (of a method) with an error."""
        fault = {"status": status, "method": method, "headers": headers}
        self.faults += [fault] * times

    def cut(self, times: int = 1, method: str = "", is_done: bool = False) -> None:
        """Cut the connection of the next requests, before or after they are done."""
        fault = {"status": None, "method": method, "is_done": is_done}
        self.faults += [fault] * times

    def forget(self) -> None:
        """Compact the history: watches from before are answered with 410."""
        with self.changed:
            self.oldest = self.version
            self.changed.notify_all()

    def edit(
        self, name: str, change: Callable[[Object], None], manager: str = "kubectl"
    ) -> None:
        """Change a Deployment as somebody else would."""
        with self.changed:
            before = copy.deepcopy(self.deployments[name]["spec"])
            change(self.deployments[name])
            spec = self.deployments[name]["spec"]
            self.owners[name].update(manager, before, spec)
            if spec != before:
                self.deployments[name]["metadata"]["generation"] += 1
            self._store(name, "MODIFIED")

    def apply(self, name: str, spec: Object, manager: str, force: bool = False) -> None:
        """Server-side apply of a spec; raises `Conflict` as the API answers 409."""
        with self.changed:
            found = self.deployments[name]
            after = self.owners[name].apply(manager, found["spec"], spec, force)
            if after != found["spec"]:
                found["spec"] = after
                found["metadata"]["generation"] += 1
            self._store(name, "MODIFIED")

    def patch(self, name: str, patch: Object, manager: str) -> tuple[int, Object]:
        self.before_patch(name, patch)
        with self.changed:
            current = self.deployments[name]["metadata"]["resourceVersion"]
            wanted = patch.get("metadata", {}).get("resourceVersion", current)
            if wanted != current:
                return 409, status_of(409, "the object has been modified")
            self.patches.append((name, patch))
            change = {**patch, "metadata": {}}
            self.edit(name, lambda found: found.update(merged(found, change)), manager)
            return 200, copy.deepcopy(self.deployments[name])

    def _store(self, name: str, kind: str) -> None:
        self.version += 1
        found = self.deployments[name]
        found["metadata"]["resourceVersion"] = str(self.version)
        event = {"type": kind, "object": copy.deepcopy(found)}
        self.history.append((self.version, event))
        self.changed.notify_all()

    def _control(self) -> None:
        while not self._stopping.wait(0.03):
            for name in list(self.deployments):
                with self.changed:
                    found = self.deployments.get(name)
                    if found is None:
                        # It was deleted a moment ago.
                        continue
                    before = copy.deepcopy(found.get("status"))
                    sync(found, self.sets[name], self.judge, self.stop)
                    if found["status"] != before:
                        self._store(name, "MODIFIED")

    def events_after(self, name: str, version: int, seconds: float) -> Iterator[Object]:
        """What a watch sends, until its time is over."""
        deadline = time.monotonic() + min(seconds, self.watch_seconds)
        while time.monotonic() < deadline and not self.is_down:
            with self.changed:
                if version < self.oldest:
                    gone = status_of(410, "too old resource version")
                    yield {"type": "ERROR", "object": gone}
                    return
                news = [item for item in self.history if item[0] > version]
                if not news:
                    self.changed.wait(0.05)
            for version, event in news:
                if event["object"]["metadata"]["name"] == name:
                    yield event

    def log_of(self, name: str, container: str) -> list[str]:
        """What the container of a pod has printed."""
        with self.changed:
            pods = [pod for sets in self.sets.values() for pod in sets.pods]
        (pod,) = (pod for pod in pods if pod.name == name)
        names = [item["name"] for item in pod.template["spec"]["containers"]]
        assert container in names
        return self.log(pod)

    def pod_objects(self, selector: str) -> list[Object]:
        labels = dict(item.split("=") for item in selector.split(","))
        with self.changed:
            pods = [pod for sets in self.sets.values() for pod in sets.pods]
            found = [pod.to_object() for pod in pods]
        return [
            item
            for item in found
            if labels.items() <= item["metadata"]["labels"].items()
        ]


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as it is written there."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
