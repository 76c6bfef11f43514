"""The code location: every model under ``defs/``, and what they share."""

from pathlib import Path

import dagster as dg

from ml_assets.assets import runs
from ml_assets.automation import ci, delivery
from ml_assets.automation import notify as automation_notify
from ml_assets.components.stages import with_shared
from ml_assets.spec import component_tree
from ml_assets.spec.catalogue import SHIPPED, folder_of, folders
from ml_assets.spec.loading import is_run_process
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.run_repository import RunRepository


# It takes a repository as well, which its type does not say.
@dg.definitions  # type: ignore[arg-type]
def defs() -> dg.Definitions | dg.RepositoryDefinition:
    """Every model's stages, jobs and schedules, sensors, releases, notifications."""
    return of_project(Path(__file__).parent)


def of_project(project: Path) -> dg.Definitions | dg.RepositoryDefinition:
    """The same with the models of the `dg` project to which the folder belongs.

    A process that executes a run gets a repository that builds the run's model only.
    """
    load = RunRepository if is_run_process() else component_tree.load
    return load(project, completed)


def job(name: str) -> dg.JobDefinition:
    """One job of the project that we work in, without models that it is not about."""
    folder = folder_of(name.rpartition("_")[0]) or next(iter(folders()), SHIPPED)
    return RunRepository(folder, completed).get_job(name)


def completed(models: dg.Definitions, specs: list[ModelSpec]) -> dg.Definitions:
    """The definitions of `specs`, and what they share."""
    found = dg.Definitions.merge(
        with_shared(models, specs),
        delivery.build(),
        ci.build(),
        automation_notify.build(),
    )
    names = [job.name for job in found.jobs or ()]
    return dg.Definitions.merge(found, runs.build(names))
