"""What the versions of a plan predict, and the loss by which live answers count."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.core.digests import BundleError
from ml_assets.lifecycle.plan_transitions import newest_version
from ml_assets.records.plan import Arm, ServingPlan
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
    """What each version predicts, by its own bundle, with the champion's loss.

    Parameters
    ----------
    plans : sequence of ServingPlan
        Those that the versions served in, the active one last.
    versions : collection of str
        One whose bundle retention has removed counts as the champion does.
    """
    from ml_assets.ml.tasks import task_of

    plan, arms = plans[-1], _arms(plans)
    champion = champion_task(plan)
    profile = Versions().document(plan.model, plan.live.version, PROFILE)
    found = dict.fromkeys(versions, champion)
    for version in {*versions} - {plan.live.version}:
        try:
            task = task_of(signature_of(arms[version]))
        except BundleError:
            continue
        is_alike = profile and task.name == champion.name
        found[version] = task.with_loss_of(profile or {}) if is_alike else task
    return found


def with_inputs(plans: Sequence[ServingPlan], rows: "pd.DataFrame") -> "pd.DataFrame":
    """Logged `rows` with ``inputs``, the values in ``x`` by column.

    Rows of a version whose bundle retention has removed are left out: nothing says
    which columns their values are of.
    """
    import pandas as pd

    from ml_assets.prediction_log.reader import inputs

    arms, parts = _arms(plans), [rows.iloc[:0].assign(inputs=None)]
    for version, some in rows.groupby("version", sort=False):
        try:
            signature = signature_of(arms[str(version)])
        except BundleError:
            continue
        given = inputs(some["x"].tolist(), signature).to_dict("records")
        column = pd.Series(given, index=some.index, dtype=object)
        parts.append(some.assign(inputs=column))
    return pd.concat(parts).loc[lambda found: rows.index.intersection(found.index)]


def _arms(plans: Sequence[ServingPlan]) -> dict[str, Arm]:
    return {arm.version: arm for plan in plans for arm in plan.arms}


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
    from ml_assets.ml.tasks.live import outcomes

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
    live = tasks[plan.live.version]
    scale = live.scale
    if scale == ERROR.scale:
        # The log has what each version decided on.
        return ERROR

    def values(rows: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        import numpy as np

        found = np.empty(len(rows))
        if live.needs_rows:
            rows = with_inputs([plan], rows)
        for version, task in tasks.items():
            own = rows["version"].to_numpy() == version
            if own.any():
                bound, y, answers = outcomes(task, rows[own])
                found[own] = bound.losses(y, answers)
        return found * scale.bound

    return Loss(scale, values, columns=("x",) if live.needs_rows else ())
