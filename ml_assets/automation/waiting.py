"""Versions that wait while a challenger is under test.

An experiment needs its labels, which may take longer than the time between two
trainings: a version that took the challenger's place would begin without any, and no
experiment would ever end.
"""

import dagster as dg

from ml_assets.assets.evaluation import passed
from ml_assets.core.storage import storage_root
from ml_assets.lifecycle.plan_transitions import challenger
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import VersionStore


def under_test(spec: ModelSpec) -> str | None:
    """The version that is the challenger of the active plan; None without one."""
    if spec.serving.strategy == "rolling":
        return None
    plan = PlanStore(storage_root()).current(spec.name)
    tried = challenger(plan) if plan else None
    return tried.version if tried else None


def after_experiment(
    instance: dg.DagsterInstance, spec: ModelSpec, job: str
) -> list[str]:
    """The newest version, where it passes its gate and nobody asked for it yet.

    Older ones that waited, too, are passed over: it was made from newer data.

    Parameters
    ----------
    instance : DagsterInstance
        With the runs of `job`.
    spec : ModelSpec
        Whose strategy may have made a version wait.
    job : str
        Deploys a version, which its runs bear as a tag.
    """
    if spec.serving.strategy == "rolling":
        return []
    store = VersionStore(storage_root())
    for version in store.names(spec.name)[-1:]:
        asked = dg.RunsFilter(job_name=job, tags={"version": version})
        if instance.get_runs_count(asked):
            continue
        if not passed(spec, store.evaluation(spec.name, version)):
            continue
        entries = Ledger(store.root).entries(spec.name)
        if version not in {entry.version for entry in entries}:
            return [version]
    return []
