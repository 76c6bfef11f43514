"""One Deployment: read it, change its pod template, follow it."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_assets.targets.clusters.api import BACK_OFF, Cluster
from ml_assets.targets.clusters.errors import ClusterError, ConflictError

Object = dict[str, Any]
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
        namespace = cluster.connection.namespace
        self._list = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._path = f"{self._list}/{name}"

    def __str__(self) -> str:
        return f"Deployment {self.cluster.connection.namespace}/{self.name}"

    def read(self) -> Object:
        """The Deployment as it is now."""
        return self.cluster.get(self._path)

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
        deadline, failures = time.monotonic() + self.cluster.patience, 0
        while True:
            found = self.read()
            before = found["spec"]["template"]
            after = copy.deepcopy(before)
            edit(after)
            if after == before:
                return found
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            patch = {
                "metadata": version,
                "spec": {"template": merge_patch(before, after)},
            }
            try:
                return self.cluster.merge(self._path, patch, self.manager)
            except ConflictError:
                failures += 1
                wait = BACK_OFF.wait(failures)
                if time.monotonic() + wait > deadline:
                    raise
                time.sleep(wait)

    def follow(self, deadline: float) -> Iterator[Object]:
        """The Deployment now and after each change, until the clock says `deadline`.

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
        events = self.cluster.watch(
            self._list,
            WATCH_SECONDS,
            # The role allows it by name only to requests with this selector.
            fieldSelector=f"metadata.name={self.name}",
            resourceVersion=version,
        )
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
