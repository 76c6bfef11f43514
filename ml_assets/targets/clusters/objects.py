"""Objects of a few kinds by name: read, applied on the server, and deleted."""

import functools
from collections.abc import Callable
from typing import Any

from ml_assets.targets.clusters.api import Cluster, Object
from ml_assets.targets.clusters.connection import ClusterError

APPLY_PATCH = "application/apply-patch+yaml"
# The client's class for each kind, and what its methods call it.
KINDS = {
    "ConfigMap": ("CoreV1Api", "config_map"),
    "Service": ("CoreV1Api", "service"),
    "Deployment": ("AppsV1Api", "deployment"),
    "HorizontalPodAutoscaler": ("AutoscalingV2Api", "horizontal_pod_autoscaler"),
    "PodDisruptionBudget": ("PolicyV1Api", "pod_disruption_budget"),
    "Ingress": ("NetworkingV1Api", "ingress"),
}
# Kinds of others, which the client has no class for.
CUSTOM = {
    "HTTPRoute": {
        "group": "gateway.networking.k8s.io",
        "version": "v1",
        "plural": "httproutes",
    },
    "ScaledObject": {
        "group": "keda.sh",
        "version": "v1alpha1",
        "plural": "scaledobjects",
    },
}
# What the client calls a verb for them.
_CUSTOM_VERBS = {"read": "get", "patch": "patch", "delete": "delete"}


class ForbiddenError(ClusterError):
    """The account has no right to do that."""


class Objects:
    """Objects of the cluster's namespace, of the kinds in `KINDS` and `CUSTOM`.

    Every method raises `ForbiddenError` where the account lacks the right, and
    `ClusterError` where the cluster refuses otherwise, or does not answer.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def read(self, kind: str, name: str) -> Object | None:
        """The object as it is now; None where there is none."""
        return self._found("read", kind, name)

    def apply(self, item: Object, manager: str) -> Object:
        """The object after a server-side apply of `item`, which may create it.

        Nothing of others is written over: a field that another field manager has set
        to another value is a `ConflictError` with the name of both. What `manager`
        applied before and `item` lacks is given up.
        """
        kind, name = item["kind"], item["metadata"]["name"]
        found: Object = self._ask(
            "patch",
            kind,
            name,
            body=item,
            field_manager=manager,
            _content_type=APPLY_PATCH,
        )
        return found

    def delete(self, kind: str, name: str) -> None:
        """Delete the object, and what it owns in the background, if it is there."""
        self._found("delete", kind, name)

    def _found(self, verb: str, kind: str, name: str) -> Object | None:
        try:
            found: Object = self._ask(verb, kind, name)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return found

    def _ask(self, verb: str, kind: str, name: str, **options: Any) -> Any:
        what = f"{verb} {kind} {self.cluster.namespace}/{name}"
        try:
            return self.cluster.ask(what, self._call(verb, kind), name=name, **options)
        except ClusterError as error:
            if error.status == 403:
                raise ForbiddenError(str(error), 403) from error
            raise

    def _call(self, verb: str, kind: str) -> Callable[..., Any]:
        from kubernetes import client

        if kind in CUSTOM:
            custom = client.CustomObjectsApi(self.cluster.client)
            named = getattr(custom, f"{_CUSTOM_VERBS[verb]}_namespaced_custom_object")
            return functools.partial(named, **CUSTOM[kind])
        api, noun = KINDS[kind]
        method = f"{verb}_namespaced_{noun}"
        found: Callable[..., Any] = getattr(
            getattr(client, api)(self.cluster.client), method
        )
        return found
