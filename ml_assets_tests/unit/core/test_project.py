"""Which `dg` project a process works in, and where its state is by default."""

from pathlib import Path

import pytest

from ml_assets.core import project
from ml_assets.core.files import home
from ml_assets.core.project import ProjectError

SHOP = (
    '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file.parent


def workspace(top: Path) -> Path:
    """A workspace of two projects, of which one has a package without ``src``."""
    paths = '[[workspace.projects]]\npath = "projects/shop"\n'
    paths += '[[workspace.projects]]\npath = "projects/bank"\n'
    write(top / "dg.toml", f'directory_type = "workspace"\n{paths}')
    write(top / "projects/shop/pyproject.toml", SHOP)
    (top / "projects/shop/src/shop/defs").mkdir(parents=True)
    bank = (
        '[project]\nroot_module = "bank"\ncode_location_target_module = "bank.main"\n'
    )
    write(top / "projects/bank/dg.toml", bank)
    (top / "projects/bank/bank/defs").mkdir(parents=True)
    return top


def test_a_directory_in_no_project_has_none(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[project]\nname = "other"\n')
    assert project.find(tmp_path) is None


def test_a_project_is_found_from_any_directory_in_it(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", SHOP)
    defs = tmp_path / "src/shop/defs"
    defs.mkdir(parents=True)
    found = project.find(defs)
    assert found is not None and found.root == tmp_path
    assert found.projects == (project.Project(tmp_path, defs, "shop.definitions"),)


def test_a_workspace_has_the_projects_that_it_lists(tmp_path: Path) -> None:
    found = project.find(workspace(tmp_path))
    assert found is not None and found.root == tmp_path
    projects = tmp_path / "projects"
    assert [(each.defs, each.target) for each in found.projects] == [
        (projects / "shop/src/shop/defs", "shop.definitions"),
        (projects / "bank/bank/defs", "bank.main"),
    ]


def test_the_projects_of_a_workspace_share_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_ASSETS_HOME")
    top = workspace(tmp_path)
    for folder in (top, top / "projects/shop/src", top / "projects/bank"):
        monkeypatch.chdir(folder)
        assert home() == top / ".ml_assets"
    found = project.find(top / "projects/bank")
    assert found is not None and [each.root.name for each in found.projects] == ["bank"]
    beside = write(tmp_path / "projects/other/pyproject.toml", SHOP)
    monkeypatch.chdir(beside)
    assert home() == beside / ".ml_assets"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("pyproject.toml", "[tool.dg.project\n", "cannot be read"),
        ("pyproject.toml", "[tool.dg.project]\n", "root_module of the project is None"),
        ("dg.toml", "[workspace]\nprojects = ['shop']\n", "expected a list such as"),
        ("dg.toml", "[[workspace.projects]]\npath = 'no'\n", "where no pyproject.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ProjectError, match=message) as caught:
        project.find(tmp_path)
    assert str(tmp_path) in str(caught.value)
