"""The wheel in projects of somebody else, which `create-dagster` made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from ml_assets_tests.kits.create_dagster import (
    PYTHON,
    add_wheel,
    constrain,
    create,
    create_host,
    resolved,
)
from ml_assets_tests.kits.host import MODEL
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.wheel import Installed, predicted, wheel

__all__ = ["wheel"]
pytestmark = pytest.mark.slow

EXTRAS = ("serve", "kubernetes", "docker", "postgres", "delivery", "s3", "ray")
KIND = "ml_assets.TabularClassifier"
# An asset of the host's, run by its own job of all assets.
MATERIALIZE = """
import dagster as dg
from {name}.definitions import defs

own = [dg.AssetKey("sales")]
job = defs().get_repository_def().get_implicit_job_def_for_assets(own)
assert job.executor_def.name == "multiprocess", job.executor_def.name
done = job.execute_in_process(asset_selection=own)
assert done.success and done.output_for_node("sales") == "rows"
"""


class Host(NamedTuple):
    """A project, and the environment that uv made for it."""

    root: Path
    environment: Installed

    def run(self, program: str, *arguments: str) -> str:
        """What a program prints in the directory of the project."""
        return self.environment.run(self.root, program, *arguments)

    def definitions(self) -> dict[str, list[Any]]:
        """What `dg list defs` lists, by kind."""
        listed = self.run("dg", "list", "defs", "--json")
        return msgspec.json.decode(listed, type=dict[str, list[Any]])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a new workspace."""
    top = tmp_path_factory.mktemp("top")
    dagster = resolved("highest", PYTHON)["dagster"]
    return create("workspace", top / "company", dagster, within=top)


@pytest.fixture(scope="module")
def oldest(workspace: Path, wheel: Path) -> Host:
    """A code location with the lowest versions that the requirements allow."""
    versions = resolved("lowest-direct", PYTHON, "serve")
    root = workspace / "projects/alpha"
    create_host(root, versions["dagster"], within=workspace)
    constrain(root, versions)
    return Host(root, add_wheel(root, wheel))


@pytest.fixture(scope="module")
def newest(workspace: Path, wheel: Path) -> Host:
    """One beside it with the highest, and with a model that has no version."""
    root = workspace / "projects/beta"
    dagster = resolved("highest", PYTHON)["dagster"]
    create_host(root, dagster, within=workspace)
    model = root / "src/beta/defs/reserve/defs.yaml"
    model.parent.mkdir()
    model.write_text(MODEL.format(name="reserve"))
    return Host(root, add_wheel(root, wheel))


@pytest.fixture
def server(oldest: Host, workspace: Path) -> Iterator[str]:
    """Address of a model server over the state of the workspace."""
    with oldest.environment.serving(workspace) as address:
        yield address


def test_from_the_wheel_to_a_live_prediction(
    oldest: Host, newest: Host, workspace: Path, server: str
) -> None:
    assert KIND in oldest.run("dg", "list", "components", "--json")
    own = oldest.definitions()
    oldest.run("dg", "scaffold", "defs", KIND, "churn")
    oldest.run("dg", "check", "yaml")
    oldest.run("dg", "check", "defs")
    oldest.run("ml-assets", "train", "churn")
    oldest.run("ml-assets", "deploy", "churn")
    listed = newest.environment.run(workspace, "ml-assets", "models", "--json")
    found = {item["model"]: item for item in msgspec.json.decode(listed)["models"]}
    assert set(found) == {"churn", "reserve"}
    assert found["churn"]["champion"] and not found["reserve"]["champion"]
    assert "reserve" not in oldest.run("ml-assets", "models")
    answer = await_true(
        lambda: predicted(server, "churn"), "the server answers with a version"
    )
    assert answer["version"] == found["churn"]["champion"]
    assert found["churn"]["runtime"] == "compiled"
    beside = oldest.definitions()
    assert own["assets"] and own["resources"] and own["sensors"]
    for kind, items in own.items():
        assert [item for item in items if item not in beside[kind]] == [], kind


def test_the_locations_load_side_by_side(
    oldest: Host, newest: Host, workspace: Path
) -> None:
    newest.environment.run(workspace, "dg", "check", "defs")
    for host in (oldest, newest):
        host.run("python", "-c", MATERIALIZE.format(name=host.root.name))


def test_what_belongs_to_an_extra_is_named(newest: Host, tmp_path: Path) -> None:
    script = "from ml_assets.core.extras import require_extra as r; r('postgres', 'it')"
    process = newest.environment.start(tmp_path, "python", "-c", script)
    assert "pip install 'ml-assets[postgres]'" in process.communicate()[1]


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_requirements_can_be_met(python: str, resolution: str) -> None:
    assert {"dagster", "ray"} <= resolved(resolution, python, *EXTRAS).keys()
