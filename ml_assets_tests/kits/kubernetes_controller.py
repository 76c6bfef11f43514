"""A Deployment controller in small: rolling updates, and the conditions it reports.

It follows Kubernetes: maxSurge 1, maxUnavailable 0, and the
progress condition, which stays at ProgressDeadlineExceeded
until there is progress again.
"""

import copy
import datetime as dt
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(eq=False)
class Pod:
    """One replica; it is ready when the double's `judge` returns None."""

    name: str
    template: Object
    ready: bool = False
    trouble: str = "it has not started"

    @property
    def annotations(self) -> Object:
        return self.template["metadata"].get("annotations") or {}

    def to_object(self) -> Object:
        """As the API shows it."""
        status = "True" if self.ready else "False"
        names = [item["name"] for item in self.template["spec"]["containers"]]
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": self.trouble}}
        ended = {"exitCode": 3, "reason": "Error", "message": f"last: {self.trouble}"}
        return {
            "metadata": {**self.template["metadata"], "name": self.name},
            "spec": self.template["spec"],
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": status,
                        "reason": "ContainersNotReady",
                        "message": "" if self.ready else f"unready: {names}",
                    }
                ],
                "containerStatuses": [
                    {
                        "name": name,
                        "ready": self.ready,
                        "state": {"running": {}} if self.ready else waiting,
                        "lastState": {} if self.ready else {"terminated": ended},
                    }
                    for name in names
                ],
            },
        }


@dataclass
class ReplicaSets:
    """What the controller keeps of one Deployment."""

    pods: list[Pod] = field(default_factory=list)
    templates: list[Object] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)


def sync(
    deployment: Object,
    sets: ReplicaSets,
    judge: Callable[[Pod], str | None],
    stop: Callable[[Pod], None],
) -> None:
    """One round of the control loop: pods towards the spec, and the status after it."""
    spec, before = deployment["spec"], deployment.get("status", {})
    template, wanted = spec["template"], spec.get("replicas", 1)
    is_new = template not in sets.templates
    if is_new:
        sets.templates.append(copy.deepcopy(template))
    for pod in sets.pods:
        pod.trouble = judge(pod) or ""
        pod.ready = not pod.trouble
    # What was made a moment ago has not reported yet.
    deployment["status"] = _status(deployment, sets, before, is_new)
    updated = [pod for pod in sets.pods if pod.template == template]
    former = [pod for pod in sets.pods if pod.template != template]
    if len(updated) < wanted and len(sets.pods) < wanted + 1:
        name = f"{deployment['metadata']['name']}-{next(sets.numbers)}"
        sets.pods.append(Pod(name, copy.deepcopy(template)))
    available = sum(pod.ready for pod in sets.pods)
    surplus = [pod for pod in former if not pod.ready]
    if not surplus and available > wanted:
        surplus = [*former, *updated[wanted:]]
    for pod in surplus[:1]:
        sets.pods.remove(pod)
        stop(pod)


def _status(
    deployment: Object, sets: ReplicaSets, before: Object, is_new: bool
) -> Object:
    template, wanted = deployment["spec"]["template"], deployment["spec"]["replicas"]
    updated = [pod for pod in sets.pods if pod.template == template]
    ready = sum(pod.ready for pod in sets.pods)
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(sets.pods),
        "updatedReplicas": len(updated),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(wanted - ready, len(sets.pods) - ready),
    }
    condition = _condition(before)
    if is_new:
        condition = _progressing("NewReplicaSetCreated")
    is_settled = (
        len(updated) == len(sets.pods)
        and condition.get("reason") == "NewReplicaSetAvailable"
    )
    if not is_settled:
        deadline = deployment["spec"].get("progressDeadlineSeconds", 600)
        if len(updated) == len(sets.pods) == ready == wanted:
            condition = _progressing("NewReplicaSetAvailable")
        elif _has_progressed(before, status):
            condition = _progressing("ReplicaSetUpdated")
        elif _is_late(condition, deadline):
            if condition["reason"] != "ProgressDeadlineExceeded":
                condition = _progressing("ProgressDeadlineExceeded", "False")
    return {**status, "conditions": [condition]}


def _condition(status: Object) -> Object:
    return next(iter(status.get("conditions", [])), {})


def _progressing(reason: str, status: str = "True") -> Object:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "message": f"ReplicaSet: {reason}",
        "lastUpdateTime": now,
    }


def _has_progressed(before: Object, now: Object) -> bool:
    def figure(status: Object, name: str) -> int:
        return int(status.get(name, 0))

    former = figure(before, "replicas") - figure(before, "updatedReplicas")
    return now["replicas"] - now["updatedReplicas"] < former or any(
        now[name] > figure(before, name)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _is_late(condition: Object, deadline: float) -> bool:
    if condition.get("reason") == "NewReplicaSetAvailable":
        return False
    if condition.get("reason") == "ProgressDeadlineExceeded":
        return True
    since = dt.datetime.fromisoformat(condition["lastUpdateTime"])
    return (dt.datetime.now(dt.UTC) - since).total_seconds() > deadline
