"""Why a rollout is stuck: what the API reports of the pods that are not ready."""

from collections.abc import Iterator

from ml_assets.targets.clusters.api import Cluster, Object
from ml_assets.targets.clusters.connection import ClusterError

MAX_PODS = 3
MAX_EVENTS = 4
MAX_CHARACTERS = 500


def reasons(cluster: Cluster, deployment: Object) -> list[str]:
    """One sentence per cause, those of the Deployment first.

    A cause that cannot be read raises nothing: it gives a sentence of its own.
    """
    try:
        found = [*_failures(deployment)]
        for pod in unready_pods(cluster, deployment)[:MAX_PODS]:
            name = pod["metadata"]["name"]
            causes = [*_of_pod(pod), *_of_events(cluster, name)]
            found += [f"pod {name}: {'; '.join(dict.fromkeys(causes))}"]
    except ClusterError as error:
        found.append(f"the pods could not be asked: {error}")
    return found


def _failures(deployment: Object) -> Iterator[str]:
    """Pods that could not even be made, because of a quota or Pod Security."""
    for item in deployment.get("status", {}).get("conditions", []):
        if item["type"] == "ReplicaFailure" and item["status"] == "True":
            yield f"no pod could be made: {_short(item.get('message'))}"


def unready_pods(cluster: Cluster, deployment: Object) -> list[Object]:
    """The pods of the template in `deployment` that are not ready."""
    spec = deployment["spec"]
    pods = cluster.pods(spec["selector"]["matchLabels"])
    return [pod for pod in pods if _is_of(spec["template"], pod) and not _is_ready(pod)]


def _is_of(template: Object, pod: Object) -> bool:
    """Whether the pod was made of this template, and not of the one before."""
    wanted = template["metadata"].get("annotations") or {}
    actual = pod["metadata"].get("annotations") or {}
    images = [[c["image"] for c in x["spec"]["containers"]] for x in (template, pod)]
    # A sidecar may have been put in.
    return wanted.items() <= actual.items() and set(images[0]) <= set(images[1])


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _of_pod(pod: Object) -> Iterator[str]:
    status = pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind, []):
            yield from _of_container(container)
    for item in status.get("conditions", []):
        if item["status"] != "True" and item.get("message"):
            reason = item.get("reason", "")
            yield f"not {item['type']}: {reason} {_short(item['message'])}"


def _of_container(container: Object) -> Iterator[str]:
    name, state = container["name"], container.get("state", {})
    waiting = state.get("waiting")
    if waiting and waiting.get("reason") not in {
        "ContainerCreating",
        "PodInitializing",
    }:
        yield f"{name} waits: {waiting.get('reason')} {_short(waiting.get('message'))}"
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if ended and ended.get("exitCode"):
        message = _short(ended.get("message")) or "it left no message"
        yield (
            f"{name} ended with exit code {ended['exitCode']}"
            f" ({ended.get('reason', 'no reason')}): {message}"
        )


def _of_events(cluster: Cluster, pod: str) -> list[str]:
    texts = [
        f"{event.get('reason')}: {_short(event.get('message'))}"
        for event in cluster.events(pod)
        if event.get("type") == "Warning"
    ]
    return texts[-MAX_EVENTS:]


def _short(text: str | None) -> str:
    return " ".join((text or "").split())[:MAX_CHARACTERS]
