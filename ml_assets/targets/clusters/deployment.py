"""One Deployment: read it, change its pod template and its annotations, follow it."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_assets.targets.clusters.api import BACK_OFF, Cluster, ConflictError, Object
from ml_assets.targets.clusters.connection import ClusterError

# Changes a pod template in place; called again with a fresh one after a conflict.
Edit = Callable[[Object], None]

WATCH_SECONDS = 5
POLL_SECONDS = 1.0


class Deployment:
    """The Deployment `name` in the cluster's namespace.

    Parameters
    ----------
    cluster : Cluster
    name : str
    manager : str
        Whose the changed fields are; see "Who owns which field" in docs/kubernetes.md.
    """

    def __init__(self, cluster: Cluster, name: str, manager: str) -> None:
        self.cluster = cluster
        self.name = name
        self.manager = manager

    def __str__(self) -> str:
        return f"Deployment {self.cluster.namespace}/{self.name}"

    def read(self) -> Object:
        """The Deployment as it is now."""
        return self.cluster.deployment(self.name)

    def change(self, edit: Edit) -> Object:
        """Change the pod template, on top of whatever others change meanwhile.

        Where `edit` changes nothing, nothing is sent.

        Returns
        -------
        dict
            The Deployment after the change.

        Raises
        ------
        ClusterError
            If the cluster refuses, or others do not stop changing it.
        """
        ends = time.monotonic() + self.cluster.patience
        return BACK_OFF.call(lambda: self._change(edit), ConflictError, ends)

    def _change(self, edit: Edit) -> Object:
        found = self.read()
        before = found["spec"]["template"]
        after = copy.deepcopy(before)
        edit(after)
        if after == before:
            return found
        patch = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {"template": merge_patch(before, after)},
        }
        return self.cluster.patch_deployment(self.name, patch, self.manager)

    def follow(self, deadline: float) -> Iterator[Object]:
        """The Deployment now and after each change, until the `deadline` of the clock.

        A watch that ends, is cut or has grown too old is begun anew with what is read
        then, so that no change is missed; without the right to watch, it is polled.
        """
        while True:
            found = self.read()
            yield found
            if time.monotonic() > deadline:
                return
            try:
                yield from self._watch(found["metadata"]["resourceVersion"])
            except ClusterError:
                time.sleep(POLL_SECONDS)

    def _watch(self, version: str) -> Iterator[Object]:
        events = self.cluster.watch_deployment(self.name, version, WATCH_SECONDS)
        for event in events:
            if event["type"] in {"ADDED", "MODIFIED"}:
                yield event["object"]
            else:
                return


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`.

    Examples
    --------
    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}})
    {'b': {'d': None, 'c': 4}}
    """
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch


def annotation(template: Object, name: str) -> str | None:
    """The annotation `name` of a pod template; None where it has none.

    Examples
    --------
    >>> annotation({"metadata": {"annotations": {"a": "1"}}}, "a")
    '1'
    """
    annotations = template.get("metadata", {}).get("annotations") or {}
    found = annotations.get(name)
    return None if found is None else str(found)


def annotate(template: Object, name: str, value: str | None) -> None:
    """Set the annotation `name` of a pod template in place; None removes it.

    Examples
    --------
    >>> template = {"metadata": {"annotations": None}}
    >>> annotate(template, "a", "1")
    >>> template
    {'metadata': {'annotations': {'a': '1'}}}
    """
    metadata = template.setdefault("metadata", {})
    annotations = {**(metadata.get("annotations") or {})}
    annotations.pop(name, None)
    if value is not None:
        annotations[name] = value
    metadata["annotations"] = annotations
