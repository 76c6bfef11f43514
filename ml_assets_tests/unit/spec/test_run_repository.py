"""A run's process builds the models that the run is about, and no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)

from benchmarks.many_models import write_project
from ml_assets.components import TabularClassifier
from ml_assets.definitions import completed, of_project
from ml_assets.spec.run_repository import RunRepository


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that were built."""
    found: list[str] = []
    usual = TabularClassifier.build_defs

    def build_defs(self: Any, context: Any) -> dg.Definitions:
        found.append(self.name)
        return usual(self, context)

    monkeypatch.setattr(TabularClassifier, "build_defs", build_defs)
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_project(tmp_path, 4)


@pytest.fixture
def repository(project: Path) -> RunRepository:
    return RunRepository(project, completed)


@pytest.fixture
def as_of_a_run() -> Iterator[None]:
    context = DefinitionsLoadContext(DefinitionsLoadType.RECONSTRUCTION)
    with DefinitionsLoadContext.scoped(context):
        yield


def test_a_job_needs_its_model_only(
    repository: RunRepository, built: list[str]
) -> None:
    job = repository.get_maybe_subset_job_def("model_0002_train")
    assert {node.name for node in job.graph.nodes} >= {"model_0002__model"}
    assert built == ["model_0002"]


def test_the_same_job_is_built_as_with_all_models(
    repository: RunRepository, project: Path
) -> None:
    whole = of_project(project)
    assert isinstance(whole, dg.Definitions)
    for name in ("train", "deploy", "monitor", "replay", "rollback", "retention"):
        job = f"model_0001_{name}"
        expected = whole.resolve_job_def(job).get_job_snapshot_id()
        assert repository.get_job(job).get_job_snapshot_id() == expected


def test_assets_chosen_by_hand_need_their_models_only(
    repository: RunRepository, built: list[str]
) -> None:
    keys = {dg.AssetKey([f"model_000{n}", "raw"]) for n in (0, 3)}
    job = repository.get_maybe_subset_job_def("__ASSET_JOB", asset_selection=keys)
    assert set(job.asset_layer.selected_asset_keys) == keys
    assert sorted(built) == ["model_0000", "model_0003"]


def test_a_folder_of_another_name_is_found(
    repository: RunRepository, project: Path, built: list[str]
) -> None:
    defs = project / "defs"
    (defs / "other").mkdir()
    (defs / "model_0001").rename(defs / "other" / "team")
    assert repository.get_job("model_0001_train").name == "model_0001_train"
    assert built == ["model_0001"]


def test_a_model_that_is_broken_keeps_no_run_of_another_one_back(
    repository: RunRepository, project: Path
) -> None:
    (project / "defs" / "model_0001" / "defs.yaml").write_text("type: [")
    assert repository.get_job("model_0000_train").name == "model_0000_train"


def test_what_is_of_no_model_is_found_among_all(repository: RunRepository) -> None:
    assert repository.get_job("release_staging").name == "release_staging"
    assert repository.has_job("runs_retention")


def test_a_run_process_gets_that_repository(as_of_a_run: None, project: Path) -> None:
    assert isinstance(of_project(project), RunRepository)


def test_everybody_else_gets_all_models(project: Path, built: list[str]) -> None:
    assert isinstance(of_project(project), dg.Definitions)
    assert len(built) == 4
