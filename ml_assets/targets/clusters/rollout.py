"""Bring a Deployment to a changed pod template, and undo the change if that fails."""

import contextlib
import copy

from ml_assets.targets.clusters.api import Object
from ml_assets.targets.clusters.connection import ClusterError
from ml_assets.targets.clusters.deployment import Deployment, Edit
from ml_assets.targets.clusters.reasons import reasons
from ml_assets.targets.clusters.rollout_status import (
    Check,
    OvertakenError,
    StuckError,
    await_rollout,
)

TIMEOUT_SECONDS = 1800.0


class FailedRolloutError(Exception):
    """A Deployment was not brought to its changed pod template.

    `undone` is whether it is known to run the former template again.
    """

    def __init__(self, message: str, undone: bool) -> None:
        super().__init__(message)
        self.undone = undone


def _nothing() -> str | None:
    return None


def roll_out_or_undo(
    deployment: Deployment,
    forward: Edit,
    undo: Edit,
    timeout: float = TIMEOUT_SECONDS,
    check: Check = _nothing,
) -> Object:
    """Change the pod template, wait for the rollout, and undo it if it fails.

    To call it again with the same `forward` is allowed: what was done already is only
    waited for, so that whoever follows a process that died finishes its work.

    Parameters
    ----------
    deployment : Deployment
    forward : callable
        Makes the change in a pod template, in place. It must do nothing to a template
        that has it already, and may raise `OvertakenError` where the template is
        neither that nor the one that the change was meant for.
    undo : callable
        Takes the change back.
    timeout : float, default=1800.0
        Seconds for the rollout, and again for undoing it.
    check : callable, optional
        Asked after each change; a reason that it gives ends the rollout.

    Returns
    -------
    dict
        The Deployment, every replica of which runs the changed template.

    Raises
    ------
    FailedRolloutError
        If the rollout failed; the message has the reasons that the cluster gives, and
        whether the former template runs again.
    OvertakenError
        If somebody else changed the template; nothing is taken back then.
    ClusterError
        If the change could not be made.
    """
    changed = deployment.change(forward)
    try:
        return await_rollout(deployment, changed, timeout, check)
    except OvertakenError:
        raise
    except ClusterError as error:
        raise FailedRolloutError(
            f"the rollout of {deployment} cannot be followed: {error}", False
        ) from error
    except StuckError as error:
        causes = [str(error), *reasons(deployment.cluster, changed)]
        message, undone = _undo(deployment, changed, undo, timeout)
        raise FailedRolloutError(
            f"the rollout of {deployment} failed: {' | '.join(causes)} | {message}",
            undone,
        ) from error
    except BaseException:
        # The run was cancelled: what nobody waits for must not become active.
        with contextlib.suppress(ClusterError, OvertakenError):
            deployment.change(_if_ours(changed, undo))
        raise


def roll_out(
    deployment: Deployment, edit: Edit, timeout: float, check: Check = _nothing
) -> Object:
    """Change the pod template and wait for the rollout; a failure is left as it is.

    For a change of several Deployments, which are taken back together, and for one that
    has nothing to return to. `check` is that of `roll_out_or_undo`.

    Raises
    ------
    StuckError
        If the rollout failed; the message has the reasons that the cluster gives.
    OvertakenError
        If somebody else changed the template.
    ClusterError
        If the cluster refuses, or does not answer.
    """
    changed = deployment.change(edit)
    try:
        return await_rollout(deployment, changed, timeout, check)
    except StuckError as error:
        causes = [str(error), *reasons(deployment.cluster, changed)]
        raise StuckError(
            f"the rollout of {deployment} failed: {' | '.join(causes)}"
        ) from error


def _undo(
    deployment: Deployment, changed: Object, undo: Edit, timeout: float
) -> tuple[str, bool]:
    """Return to the former template: a sentence on it, and whether it is verified."""
    try:
        former = deployment.change(_if_ours(changed, undo))
        found = await_rollout(deployment, former, timeout, _nothing)
    except OvertakenError:
        return "somebody else changed it meanwhile, and it was left so", False
    except (ClusterError, StuckError) as error:
        return f"the return to the former template is not complete: {error}", False
    replicas = found["spec"].get("replicas", 1)
    return f"all {replicas} replicas run the former template", True


def _if_ours(changed: Object, undo: Edit) -> Edit:
    """`undo`, for exactly the template that we made."""
    ours = changed["spec"]["template"]
    former = copy.deepcopy(ours)
    undo(former)

    def edit(template: Object) -> None:
        # After a lost answer it may be done already.
        if template == former:
            return
        if template != ours:
            raise OvertakenError("the pod template was changed by somebody else")
        undo(template)

    return edit
