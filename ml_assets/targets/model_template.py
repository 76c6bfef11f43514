"""What the chart's template of a model's objects makes of one model."""

import copy
from typing import Any

import msgspec

from ml_assets.core.decoding import from_builtins
from ml_assets.spec.operation import PodResourcesSpec, ReplicasSpec, ServingSpec
from ml_assets.targets.clusters import ClusterError, Object, annotation

# A release of the platform sets it with the image, which is its own from then on.
RELEASE = "ml-assets.dev/release"
# What stands in the template for the name of a model, and for its part of a DNS name.
MODEL, DNS_MODEL = "__MODEL__", "--MODEL--"
# What brings traffic from outside: the chart has a template of one, or of none.
WAYS_IN = {"ingress", "route"}
# The trigger that sees requests while there is no server.
WAKE = "wake"
# In this order: when the Deployment is there, everything is.
PARTS = {
    "service": "Service",
    "ingress": "Ingress",
    "route": "HTTPRoute",
    "budget": "PodDisruptionBudget",
    "autoscaler": "HorizontalPodAutoscaler",
    "scaledobject": "ScaledObject",
    "deployment": "Deployment",
}
# What only a model with servers of its own has.
OWN = {"budget", "autoscaler", "scaledobject", "deployment"}
# What charts of before the key `scaler` know nothing of.
LATER = {"scaledobject", "route"}
# What is in the template for the servers of the shared pool, as for those of a model.
POOL_PREFIX = "pool."


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
    if serving.scale_to_zero:
        _scale_to_zero(found.get("scaledobject"), least, most)
    elif least == most:
        found["deployment"]["spec"]["replicas"] = least
        found.pop("autoscaler", None)
        found.pop("scaledobject", None)
    elif "scaledobject" in found:
        _scale(found["scaledobject"], least, most)
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


def pool_of(source: Object) -> Object:
    """The template of the servers of the shared pool, in that of a model.

    Raises
    ------
    ClusterError
        If the chart that made it has none.
    """
    data = {
        key.removeprefix(POOL_PREFIX): text
        for key, text in source["data"].items()
        if key.startswith(POOL_PREFIX)
    }
    if not data:
        raise ClusterError(
            f"ConfigMap {source['metadata']['name']} has no template of the shared"
            " pool: upgrade the chart ml-assets"
        )
    return {**source, "data": data}


def ways_to_pool(source: Object, model: str) -> dict[str, Object]:
    """What brings the requests of `model` to the shared pool, by key of the template.

    It is the Service of the model, without the metrics, which are those of the pool,
    and what is in front of it.
    """
    found = objects_of(source, model, ServingSpec())
    pool = from_builtins(
        msgspec.yaml.decode(pool_of(source)["data"]["service"]), Object
    )
    spec = found["service"]["spec"]
    spec["selector"] = pool["spec"]["selector"]
    spec["ports"] = [port for port in spec["ports"] if port["name"] == "http"]
    return {part: found[part] for part in found if part in {"service", *WAYS_IN}}


def parts_of(source: Object | None) -> list[str]:
    """The parts that a model may have, by the chart that made the template.

    One of before the scalers knows no ScaledObject and no HTTPRoute, and grants no
    right to delete them, either.
    """
    is_known = source is not None and "scaler" in source["data"]
    return [part for part in PARTS if is_known or part not in LATER]


def _scale(item: Object, least: int, most: int) -> None:
    spec = item["spec"]
    spec.update(minReplicaCount=least, maxReplicaCount=most)
    spec["triggers"] = [it for it in spec["triggers"] if it.get("name") != WAKE]


def _scale_to_zero(item: Object | None, least: int, most: int) -> None:
    """Let KEDA stop every server while no trigger is active."""
    triggers = item["spec"]["triggers"] if item else []
    if item is None or not any(it.get("name") == WAKE for it in triggers):
        raise ClusterError(
            "serving.scale_to_zero is set, and nothing would start a server again: set"
            " modelServer.autoscaling.keda.enabled and wakeQuery in the values of the"
            " chart ml-assets"
        )
    item["spec"].update(idleReplicaCount=0, minReplicaCount=least, maxReplicaCount=most)


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
