"""What the versions of a plan predict, and the loss by which live answers count."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.core.digests import BundleError
from ml_assets.lifecycle.plan_transitions import newest_version
from ml_assets.records.plan import ServingPlan
from ml_assets.state.bundles import signature_of
from ml_assets.state.versions import PROFILE, Versions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml_assets.ml.sequential import Loss
    from ml_assets.ml.tasks import Task


def champion_task(plan: ServingPlan) -> "Task":
    """What the champion predicts, with the loss that its reference profile fixes.

    Without a profile it has the loss of its task, which no live figure is held against.
    """
    from ml_assets.ml.tasks import task_of

    task = task_of(signature_of(plan.live))
    profile = Versions().document(plan.model, plan.live.version, PROFILE)
    return task.with_loss_of(profile) if profile else task


def live_tasks(
    plans: Sequence[ServingPlan], versions: Collection[str]
) -> "dict[str, Task]":
    """What each version predicts, as the signature of its own bundle has it.

    Parameters
    ----------
    plans : sequence of ServingPlan
        Those that the versions served in, the active one last.
    versions : collection of str
        One whose bundle retention has removed counts as the champion does.
    """
    from ml_assets.ml.tasks import task_of

    arms = {arm.version: arm for plan in plans for arm in plan.arms}
    champion = champion_task(plans[-1])
    found = dict.fromkeys(versions, champion)
    for version in {*versions} - {plans[-1].live.version}:
        try:
            found[version] = task_of(signature_of(arms[version]))
        except BundleError:
            continue
    return found


def loss_of(plan: ServingPlan) -> "Loss":
    """The loss by which the arms of a plan are compared, the same for all of them.

    It is what the newest version's reference profile fixes, of which the experiment is,
    or the champion's until there is one.

    Raises
    ------
    LookupError
        If the loss has a bound that neither profile names.
    """
    from ml_assets.ml.sequential import ERROR, Loss
    from ml_assets.ml.tasks import task_of

    store = Versions()
    documents = (
        store.document(plan.model, version, PROFILE)
        for version in (newest_version(plan), plan.live.version)
    )
    profile = next(filter(None, documents), {})
    tasks = {
        arm.version: task_of(signature_of(arm)).with_loss_of(profile)
        for arm in plan.arms
    }
    scale = tasks[plan.live.version].scale
    if scale == ERROR.scale:
        # The log has what each version decided on.
        return ERROR

    def values(rows: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        import numpy as np

        found = np.empty(len(rows))
        for version, task in tasks.items():
            own = rows["version"].to_numpy() == version
            some = rows[own]
            y, answers = task.truths(some["truth"]), task.logged(some[task.column])
            found[own] = task.losses(y, answers)
        return found * scale.bound

    return Loss(scale, values)
