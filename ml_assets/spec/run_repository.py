"""The code location in a run's process: only the models that the run is about.

Dagster loads the whole location in each such process, to take one job from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster.components.core.component_tree import ComponentTree

from ml_assets.spec import component_tree, model_file
from ml_assets.spec.component_tree import Completed


class RunRepository(dg.RepositoryDefinition):
    """Builds a model when one of its jobs is asked for; all models for the rest."""

    def __init__(self, project: Path, completed: Completed) -> None:
        self._data = _Data(project, completed)
        super().__init__(SINGLETON_REPOSITORY_NAME, repository_data=self._data)

    def get_maybe_subset_job_def(
        self,
        job_name: str,
        op_selection: Any = None,
        asset_selection: Any = None,
        asset_check_selection: Any = None,
    ) -> dg.JobDefinition:
        """A job, or a part of it; the assets of a selection say which models."""
        models = {key.path[0] for key in asset_selection or ()}
        models |= {key.asset_key.path[0] for key in asset_check_selection or ()}
        return self._data.job_of(models, job_name).get_subset(
            op_selection=op_selection,
            asset_selection=asset_selection,
            asset_check_selection=asset_check_selection,
        )


class _Data(dg.RepositoryData):
    def __init__(self, project: Path, completed: Completed) -> None:
        self._project, self._completed = project, completed

    def job_of(self, models: set[str], job: str) -> dg.JobDefinition:
        """A job over assets of `models`; where there are none, its name names one."""
        wanted = models or {job.rpartition("_")[0]}
        top = ComponentTree.for_project(self._project).defs_module_path
        folders = _folders(top, wanted)
        if folders is not None:
            given = self._project, folders, self._completed
            part = component_tree.load_folders(*given).get_repository_def()
            if part.has_job(job):
                return part.get_job(job)
        return self._whole.get_job(job)

    @cached_property
    def _whole(self) -> dg.RepositoryDefinition:
        loaded = component_tree.load(self._project, self._completed)
        return loaded.get_repository_def()

    def get_job(self, job_name: str) -> dg.JobDefinition:
        return self.job_of(set(), job_name)

    def has_job(self, job_name: str) -> bool:
        return self._whole.has_job(job_name)

    def get_all_jobs(self) -> Sequence[dg.JobDefinition]:
        return self._whole.get_all_jobs()

    def get_job_names(self) -> Sequence[str]:
        return self._whole.job_names

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        return self._whole.schedule_defs

    def get_all_sensors(self) -> Sequence[dg.SensorDefinition]:
        return self._whole.sensor_defs

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        return self._whole.get_top_level_resources()

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, Any]:
        return self._whole.get_env_vars_by_top_level_resource()

    def get_assets_defs_by_key(self) -> Mapping[dg.AssetKey, dg.AssetsDefinition]:
        return self._whole.assets_defs_by_key

    def get_asset_checks_defs_by_key(self) -> Mapping[dg.AssetCheckKey, Any]:
        return self._whole.asset_checks_defs_by_key

    def get_source_assets_by_key(self) -> Mapping[dg.AssetKey, dg.SourceAsset]:
        return self._whole.source_assets_by_key


def _folders(top: Path, models: Iterable[str]) -> list[Path] | None:
    """Where each of `models` is described; None if that of one is not found."""
    found = [model_file.of_model(top, model) for model in models]
    return None if None in found else [file.parent for file in found if file]
