"""Bring a Deployment to a changed pod template, and back if that fails."""

import contextlib
import copy

from ml_assets.targets.clusters.deployment import Deployment, Edit, Object
from ml_assets.targets.clusters.errors import (
    ClusterError,
    OvertakenError,
    RollError,
    StuckError,
)
from ml_assets.targets.clusters.reasons import reasons
from ml_assets.targets.clusters.rollout import Check, await_rollout

TIMEOUT_SECONDS = 1800.0


def _nothing() -> str | None:
    return None


def roll(
    deployment: Deployment,
    forward: Edit,
    back: Edit,
    timeout: float = TIMEOUT_SECONDS,
    check: Check = _nothing,
) -> Object:
    """Change the pod template, wait for the rollout, and return if it fails.

    To call it again with the same `forward` is allowed: what was done already is only
    waited for, so that whoever follows a process that died finishes its work.

    Parameters
    ----------
    deployment : Deployment
    forward : callable
        Makes the change in a pod template, in place. It must do nothing to a template
        that has it already, and may raise `OvertakenError` where the template is
        neither that nor the one that the change was meant for.
    back : callable
        Takes the change back.
    timeout : float, default=1800.0
        Seconds for the rollout, and again for the return.
    check : callable, optional
        Asked at every look; a reason that it gives ends the rollout.

    Returns
    -------
    dict
        The Deployment, every replica of which runs the changed template.

    Raises
    ------
    RollError
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
        raise RollError(
            f"the rollout of {deployment} cannot be followed: {error}", False
        ) from error
    except StuckError as error:
        causes = [str(error), *reasons(deployment.cluster, changed)]
        message, returned = _return(deployment, changed, back, timeout)
        raise RollError(
            f"the rollout of {deployment} failed: {' | '.join(causes)} | {message}",
            returned,
        ) from error
    except BaseException:
        # The run was cancelled: what nobody waits for must not become active.
        with contextlib.suppress(ClusterError, OvertakenError):
            deployment.change(_guarded(changed, back))
        raise


def bring(deployment: Deployment, edit: Edit, timeout: float) -> Object:
    """Change the pod template and wait for the rollout; a failure is left as it is.

    For a change of several Deployments, which are taken back together.

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
        return await_rollout(deployment, changed, timeout, _nothing)
    except StuckError as error:
        causes = [str(error), *reasons(deployment.cluster, changed)]
        raise StuckError(
            f"the rollout of {deployment} failed: {' | '.join(causes)}"
        ) from error


def _return(
    deployment: Deployment, changed: Object, back: Edit, timeout: float
) -> tuple[str, bool]:
    """Return to the former template; what to say of it, and whether it is verified."""
    try:
        former = deployment.change(_guarded(changed, back))
        found = await_rollout(deployment, former, timeout, _nothing)
    except OvertakenError:
        return "somebody else changed it meanwhile, and it was left so", False
    except (ClusterError, StuckError) as error:
        return f"the return to the former template is not complete: {error}", False
    replicas = found["spec"].get("replicas", 1)
    return f"all {replicas} replicas run the former template", True


def _guarded(changed: Object, back: Edit) -> Edit:
    """`back`, for exactly the template that we made."""
    ours = changed["spec"]["template"]
    former = copy.deepcopy(ours)
    back(former)

    def edit(template: Object) -> None:
        # After a lost answer it may be done already.
        if template == former:
            return
        if template != ours:
            raise OvertakenError("the pod template was changed by somebody else")
        back(template)

    return edit
