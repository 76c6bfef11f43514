"""Waiting for the end of a rollout, as ``kubectl rollout status`` does."""

import time
from collections.abc import Callable

from ml_assets.targets.clusters.api import Object
from ml_assets.targets.clusters.deployment import Deployment

# The cluster's own clock decides first; ours covers a controller that does not run.
GRACE_SECONDS = 30.0
PROGRESS_SECONDS = 600.0

Check = Callable[[], str | None]


class OvertakenError(Exception):
    """Somebody else changed the pod template: it is no longer ours to change."""


class StuckError(Exception):
    """A rollout did not come to its end."""


def await_rollout(
    deployment: Deployment, changed: Object, timeout: float, check: Check
) -> Object:
    """Wait until every replica runs the pod template of `changed`, and is available.

    Parameters
    ----------
    deployment : Deployment
    changed : dict
        The Deployment as it was when its template had been changed.
    timeout : float
        Seconds for all of it, however much progress there is.
    check : callable
        Asked after each change; a reason that it gives ends the rollout.

    Returns
    -------
    dict
        The Deployment at the end.

    Raises
    ------
    OvertakenError
        If somebody else changed the template meanwhile.
    StuckError
        If the rollout failed, made no progress for too long, or `check` has a reason.
    ClusterError
        If the cluster does not answer.
    """
    template, stale = changed["spec"]["template"], _progressing(changed)
    progress = changed["spec"].get("progressDeadlineSeconds", PROGRESS_SECONDS)
    started = last = time.monotonic()
    figures: tuple[int, ...] = ()
    for found in deployment.follow(started + timeout):
        if found["spec"]["template"] != template:
            raise OvertakenError(f"{deployment} was changed by somebody else")
        waiting = what_is_missing(found)
        if waiting is None:
            return found
        now, seen = time.monotonic(), _figures(found)
        if seen != figures:
            last, figures = now, seen
        condition = _progressing(found)
        # The controller leaves the verdict on the rollout before until there is
        # progress in this one.
        if _is_over(condition) and condition != stale:
            raise StuckError(f"{waiting}: {condition.get('message', 'no progress')}")
        if now - last > progress + GRACE_SECONDS:
            raise StuckError(f"{waiting}: no progress for {now - last:.0f} s")
        reason = check()
        if reason is not None:
            raise StuckError(reason)
    raise StuckError(f"{waiting} after {timeout:g} s")


def what_is_missing(deployment: Object) -> str | None:
    """What a rollout waits for; None where it is complete.

    Examples
    --------
    >>> what_is_missing({
    ...     "metadata": {"generation": 4},
    ...     "spec": {"replicas": 3},
    ...     "status": {"observedGeneration": 4, "replicas": 4, "updatedReplicas": 3,
    ...                "availableReplicas": 3},
    ... })
    '1 of the former replicas still runs'
    """
    spec, status = deployment["spec"], deployment.get("status", {})
    if spec.get("paused"):
        return "the Deployment is paused"
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "the controller has not seen the change"
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    former = status.get("replicas", 0) - updated
    available = status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas are updated"
    if former > 0:
        return f"{former} of the former replicas still runs"
    if available < wanted or status.get("unavailableReplicas", 0):
        return f"{available} of {wanted} updated replicas are available"
    return None


def _progressing(deployment: Object) -> Object:
    conditions = deployment.get("status", {}).get("conditions", [])
    found = (item for item in conditions if item["type"] == "Progressing")
    return next(found, {})


def _is_over(condition: Object) -> bool:
    return condition.get("reason") == "ProgressDeadlineExceeded"


def _figures(deployment: Object) -> tuple[int, ...]:
    """What changes when a rollout makes progress."""
    status = deployment.get("status", {})
    names = (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    )
    return tuple(status.get(name, 0) for name in names)
