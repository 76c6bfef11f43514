"""Objects of any kind in the Kubernetes API in small: applied, read, deleted, owned.

A Deployment is applied here, too, and then is the controller's. Rights are taken away
by `forbid`; deleting an owner deletes what it owns, as the garbage collector does.
"""

import copy
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ml_assets_tests.kits.kubernetes_fields import Conflict, Object, Owners

if TYPE_CHECKING:
    from ml_assets_tests.kits.kubernetes_api import KubernetesApi

NAMESPACE = "ml"
# The kind of each resource of a path, and the version that serves it.
RESOURCES = {
    "/api/v1/configmaps": "ConfigMap",
    "/api/v1/services": "Service",
    "/apis/apps/v1/deployments": "Deployment",
    "/apis/autoscaling/v2/horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "/apis/policy/v1/poddisruptionbudgets": "PodDisruptionBudget",
    "/apis/networking.k8s.io/v1/ingresses": "Ingress",
    "/apis/gateway.networking.k8s.io/v1/httproutes": "HTTPRoute",
    "/apis/keda.sh/v1alpha1/scaledobjects": "ScaledObject",
}
VERBS = {"GET": "get", "PATCH": "patch", "DELETE": "delete"}


class Objects:
    """What is in the namespace besides Deployments, and how all of it is applied."""

    def __init__(self, api: "KubernetesApi") -> None:
        self._api = api
        self.of: dict[tuple[str, str], Object] = {}
        self.owners: dict[tuple[str, str], Owners] = {}
        self.forbidden: set[tuple[str, str]] = set()
        self.before: Callable[[str, str, str], None] = lambda verb, kind, name: None

    def forbid(self, verb: str, kind: str) -> None:
        """Take the right away; it is given back by `forbidden`."""
        self.forbidden.add((verb, kind))

    def names(self, name: str) -> set[str]:
        """The kinds of the objects of this name."""
        kinds = {kind for kind, other in self.of if other == name}
        return kinds | ({"Deployment"} if name in self._api.deployments else set())

    def answer(
        self, method: str, kind: str, name: str, body: Any, query: dict[str, str]
    ) -> tuple[int, Object]:
        """The status and the body that the API answers."""
        verb = VERBS[method]
        self.before(verb, kind, name)
        with self._api.changed:
            is_new = self._find(kind, name) is None
            needed = [verb, "create"] if verb == "patch" and is_new else [verb]
            for right in needed:
                if (right, kind) in self.forbidden:
                    return 403, status_of(403, forbidden(right, kind, name))
            if verb == "patch":
                return self._apply(kind, name, body, query)
            found = self._find(kind, name)
            if found is None:
                return 404, status_of(404, f'{kind} "{name}" not found')
            if verb == "delete":
                self.delete(kind, name)
            return 200, copy.deepcopy(found)

    def apply(self, item: Object, manager: str, force: bool = False) -> None:
        """Server-side apply; raises `Conflict` as the API answers 409."""
        kind, meta = item["kind"], item["metadata"]
        name = meta["name"]
        with self._api.changed:
            if kind == "Deployment":
                if name not in self._api.deployments:
                    self._api.add(name)
                    self._api.deployments[name]["spec"] = {}
                self._api.apply(name, item["spec"], manager, force)
                # The API's default, also where whoever set it gives it up.
                self._api.deployments[name]["spec"].setdefault("replicas", 1)
            else:
                owners = self.owners.setdefault((kind, name), Owners())
                content = {k: v for k, v in item.items() if k in ("spec", "data")}
                live = self.of.get(
                    (kind, name), {"metadata": {"uid": f"{kind}/{name}"}}
                )
                self.of[kind, name] = owners.apply(manager, live, content, force)
            found = self._find(kind, name)
            assert found is not None
            given = {
                k: meta[k] for k in ("name", "labels", "ownerReferences") if k in meta
            }
            found["metadata"].update(copy.deepcopy(given))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and whatever has it as owner."""
        found = self._find(kind, name)
        assert found is not None
        if kind == "Deployment":
            self._api.delete(name)
        else:
            del self.of[kind, name], self.owners[kind, name]
        uid = found["metadata"].get("uid")
        everything = {
            **self.of,
            **{("Deployment", name): it for name, it in self._api.deployments.items()},
        }
        for (owned, other), item in everything.items():
            references = item["metadata"].get("ownerReferences", [])
            if uid and uid in [reference["uid"] for reference in references]:
                self.delete(owned, other)

    def _apply(
        self, kind: str, name: str, body: Object, query: dict[str, str]
    ) -> tuple[int, Object]:
        assert body["metadata"]["name"] == name
        assert body["kind"] == kind
        # An apply without a manager is refused by the API, too.
        if "fieldManager" not in query:
            return 400, status_of(400, "fieldManager is required for apply patch")
        try:
            self.apply(body, query["fieldManager"], query.get("force") == "true")
        except Conflict as error:
            return 409, status_of(409, str(error))
        return 200, copy.deepcopy(self._find(kind, name) or {})

    def _find(self, kind: str, name: str) -> Object | None:
        if kind == "Deployment":
            return self._api.deployments.get(name)
        return self.of.get((kind, name))


def forbidden(verb: str, kind: str, name: str) -> str:
    """The message of the API's authorizer."""
    path = next(path for path, item in RESOURCES.items() if item == kind)
    _, *group, _, resource = path.strip("/").split("/")
    group_name = group[0] if group else ""
    user = f"system:serviceaccount:{NAMESPACE}:ml-assets-runs"
    full = f"{resource}.{group_name}".rstrip(".")
    return (
        f'{full} "{name}" is forbidden: User "{user}" cannot {verb} resource'
        f' "{resource}" in API group "{group_name}" in the namespace "{NAMESPACE}"'
    )


def kind_and_name(path: str) -> tuple[str, str]:
    """The kind and the name of an object, by the path of its resource."""
    resource, name = path.rsplit("/", 1)
    return RESOURCES[re.sub(f"/namespaces/{NAMESPACE}", "", resource)], name


def status_of(code: int, message: str) -> Object:
    """The object in which the API says what it has against a request."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": HTTPStatus(code).phrase.replace(" ", ""),
        "message": message,
    }
