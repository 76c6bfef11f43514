"""The objects of a model that the chart does not name, made of a template of the chart.

The chart renders, into a ConfigMap, what it would make for a model of its values. Of
that the deployer makes the Deployment of any other model, its Service, autoscaler,
disruption budget and Ingress, by server-side apply under a field manager of its own.
The ConfigMap owns them, so that they go when the release is uninstalled.

A model that the values name stays Helm's, and nothing here touches its objects.
"""

import copy
import os
from typing import Any

import msgspec

from ml_assets.spec.operation import PodResourcesSpec, ReplicasSpec, ServingSpec
from ml_assets.targets.clusters import Cluster, ClusterError, Object, annotation
from ml_assets.targets.clusters.objects import ForbiddenError, Objects

# The field manager of what a deployment writes, and who manages objects made here.
MANAGER = "ml-assets-deployer"
MANAGED_BY = "app.kubernetes.io/managed-by"
# A release of the platform sets it with the image, which is its own from then on.
RELEASE = "ml-assets.dev/release"
# What stands in the template for the name of a model, and for its part of a DNS name.
MODEL, DNS_MODEL = "__MODEL__", "--MODEL--"
# In this order: when the Deployment is there, everything is.
PARTS = {
    "service": "Service",
    "ingress": "Ingress",
    "budget": "PodDisruptionBudget",
    "autoscaler": "HorizontalPodAutoscaler",
    "deployment": "Deployment",
}
SWITCH = "set modelTemplate.enabled in the values of the chart ml-assets"


class ModelObjects:
    """Makes and removes the objects of models in `cluster`.

    The template is the ConfigMap that ``ML_ASSETS_MODEL_TEMPLATE`` names.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._objects = Objects(cluster)
        self._namespace = cluster.namespace

    def ensure(self, model: str, name: str, serving: ServingSpec | None) -> None:
        """Apply the objects of `model` as the template has them now.

        It may be repeated: whoever follows a process that died finishes its work. The
        objects of Helm are left alone.

        Parameters
        ----------
        model : str
        name : str
            That of each object.
        serving : ServingSpec, optional
            With the replicas and resources of the YAML; None where there is no YAML,
            and then what is there is left as it is.

        Raises
        ------
        ConflictError
            If somebody else set one of the fields to another value.
        ClusterError
            If there is no template, or a right is lacking, with the value to set.
        """
        live = self._objects.read("Deployment", name)
        if live is not None and (serving is None or not is_ours(live)):
            return
        source = self._template(name, live)
        if source is None:
            return
        wanted = objects_of(source, model, serving or ServingSpec(), live)
        for part, kind in PARTS.items():
            try:
                if part in wanted:
                    self._objects.apply(wanted[part], MANAGER)
                elif live is not None and part != "ingress":
                    self._objects.delete(kind, name)
            except ForbiddenError as error:
                raise _lacking(error) from error

    def remove(self, name: str) -> str:
        """Delete what `ensure` made under this name; what was done or is left to do.

        The Deployment goes last: while it is there, so may be the rest.
        """
        live = self._objects.read("Deployment", name)
        if live is None:
            return f"there is no Deployment {self._namespace}/{name}"
        if not is_ours(live):
            return (
                f"Deployment {self._namespace}/{name} is Helm's, and serves on: take"
                " the model out of `models` in the values of the chart ml-assets"
            )
        try:
            for kind in PARTS.values():
                self._objects.delete(kind, name)
        except ForbiddenError as error:
            raise _lacking(error) from error
        return f"deleted {', '.join(PARTS.values())} {self._namespace}/{name}"

    def _template(self, name: str, live: Object | None) -> Object | None:
        source = os.environ.get("ML_ASSETS_MODEL_TEMPLATE")
        missing = f"Deployment {self._namespace}/{name} is missing"
        if not source:
            if live is not None:
                return None
            raise ClusterError(
                f"{missing}, and ML_ASSETS_MODEL_TEMPLATE names no ConfigMap to make it"
                f" of: {SWITCH}, or name the model among its `models`"
            )
        try:
            found = self._objects.read("ConfigMap", source)
        except ForbiddenError as error:
            raise _lacking(error) from error
        if found is None:
            raise ClusterError(
                f"ConfigMap {self._namespace}/{source}, which ML_ASSETS_MODEL_TEMPLATE"
                " names, is missing: it is of the chart ml-assets"
            )
        return found


def is_ours(item: Object) -> bool:
    """Whether a deployer made the object, and not Helm.

    Examples
    --------
    >>> is_ours({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}})
    False
    """
    return bool((item["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER)


def objects_of(
    source: Object, model: str, serving: ServingSpec, live: Object | None = None
) -> dict[str, Object]:
    """The objects to apply, by the key of their template.

    Parameters
    ----------
    source : dict
        The ConfigMap with a template of each, as YAML, and the usual ``replicas``.
    model : str
    serving : ServingSpec
    live : dict, optional
        The Deployment as it is; the image that a release of the platform has put there
        is kept.
    """
    data, meta = source["data"], source["metadata"]
    least, most = _replicas(serving.replicas, msgspec.json.decode(data["replicas"]))
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": meta["name"],
        "uid": meta["uid"],
    }
    found = {}
    for part in PARTS:
        if part not in data:
            continue
        text = data[part].replace(MODEL, model)
        item = msgspec.yaml.decode(text.replace(DNS_MODEL, model.replace("_", "-")))
        item["metadata"]["ownerReferences"] = [owner]
        found[part] = item
    if least == most:
        found["deployment"]["spec"]["replicas"] = least
        del found["autoscaler"]
    else:
        found["autoscaler"]["spec"].update(minReplicas=least, maxReplicas=most)
    if least == 1:
        # A budget over a single pod would stop a node from ever being drained.
        del found["budget"]
    template = found["deployment"]["spec"]["template"]
    container, *_ = template["spec"]["containers"]
    container["resources"] = _resources(container["resources"], serving.resources)
    running = live["spec"]["template"] if live is not None else {}
    if annotation(running, RELEASE) is not None:
        container["image"] = running["spec"]["containers"][0]["image"]
    return found


def _replicas(own: ReplicasSpec | None, usual: Any) -> tuple[int, int]:
    if own is not None:
        return own.min, own.max or own.min
    if isinstance(usual, int):
        return usual, usual
    return usual["min"], usual["max"]


def _resources(usual: Object, own: PodResourcesSpec) -> Object:
    found = copy.deepcopy(usual)
    for name, amounts in own.model_dump(exclude_none=True).items():
        if amounts:
            found[name] = {**found.get(name, {}), **amounts}
    return found


def _lacking(error: ForbiddenError) -> ClusterError:
    return ClusterError(f"the right is lacking, {SWITCH}: {error}", 403)
