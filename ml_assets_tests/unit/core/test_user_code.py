"""Only packages that the project trusts are imported."""

import sys
from pathlib import Path

import pytest

from ml_assets.core import user_code
from ml_assets.core.user_code import UserCodeError, load, load_class, trusted_packages


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pyproject.toml of the directory above the working one."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path / "pyproject.toml"


def test_a_project_says_in_its_pyproject_what_it_trusts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write_text('[tool.ml_assets]\ntrusted = ["my_project"]\n')
    assert trusted_packages() == ("my_project",)
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "other, another")
    assert trusted_packages() == ("another", "other")
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "")
    assert trusted_packages() == ()


def test_nothing_is_trusted_without_a_setting(project: Path) -> None:
    assert trusted_packages() == ()
    project.write_text("[project]\nname = 'x'\n")
    assert trusted_packages() == ()
    with pytest.raises(UserCodeError, match=r"trusted: none.*tool\.ml_assets"):
        load("my_project.features.Ratios")


@pytest.mark.parametrize(
    "text, message",
    [
        ("trusted = 'my_project'", "is 'my_project', expected a list of packages"),
        ("trusted = [1]", r"is \[1\], expected a list of packages"),
        ("trusted = ['my_project.features']", "names 'my_project.features', expected"),
        ("trusted = ['os']", "names 'os', expected packages of the project's own"),
        ("trusted = ['builtins']", "names 'builtins', expected"),
        ("trusted = ['sklearn']", "names 'sklearn', expected"),
        ("trusted = [", "cannot be read"),
    ],
)
def test_a_setting_that_names_no_own_package_is_refused(
    project: Path, text: str, message: str
) -> None:
    project.write_text(f"[tool.ml_assets]\n{text}\n")
    with pytest.raises(UserCodeError, match=message) as found:
        trusted_packages()
    assert str(project) in str(found.value)


@pytest.mark.parametrize(
    "path",
    ["os.system", "builtins.eval", "subprocess.Popen", "my_projects.features.Ratios"],
)
def test_what_is_not_trusted_is_not_imported(user_package: Path, path: str) -> None:
    with pytest.raises(UserCodeError, match="is in no package that is trusted"):
        load(path)


@pytest.mark.parametrize("path", ["", "my_project", "my_project..x", "my_project.a b"])
def test_what_is_no_import_path_is_refused(user_package: Path, path: str) -> None:
    with pytest.raises(UserCodeError, match="is no import path"):
        load(path)


def test_what_a_trusted_module_imports_of_others_is_not_trusted(
    user_package: Path,
) -> None:
    for name in ("system", "BaseEstimator", "HOUR"):
        with pytest.raises(UserCodeError, match="defined in a trusted package"):
            load(f"my_project.features.{name}")


def test_a_function_and_an_absent_name_are_no_class(user_package: Path) -> None:
    assert load_class("my_project.features.Ratios").__name__ == "Ratios"
    with pytest.raises(UserCodeError, match="expected a class"):
        load_class("my_project.sources.customers")
    with pytest.raises(UserCodeError, match="cannot be imported: AttributeError"):
        load("my_project.features.Nothing")


def test_the_hash_of_a_package_follows_names_and_contents_of_its_files(
    user_package: Path,
) -> None:
    first = user_code.source_digests(["my_project.features.Ratios"])
    assert set(first) == {"my_project"} and "my_project" not in sys.modules
    (user_package / "units.py").write_text("HOUR = 60.0\n")
    second = user_code.source_digests(["my_project.features.Ratios"])
    (user_package / "units.py").rename(user_package / "measures.py")
    third = user_code.source_digests(["my_project.features.Ratios"])
    assert len({str(found) for found in (first, second, third)}) == 3


def test_a_trusted_package_counts_where_it_is_used(
    user_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("my_tools", "my_other"):
        (user_package.parent / f"{name}.py").write_text("SIZE = 1\n")
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "my_project, my_tools, my_other")
    (user_package / "units.py").write_text("from my_tools import SIZE as HOUR\n")
    found = user_code.source_digests(["my_project.features.Ratios", "os.system"])
    assert [*found] == ["my_project", "my_tools"]
    assert user_code.source_digests([]) == {}


def test_a_trusted_package_that_is_not_installed_has_no_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "my_absent_project")
    assert user_code.source_digests(["my_absent_project"]) == {}
    assert user_code.find_module("my_absent_project.features") is None


def test_a_single_module_may_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_module.py").write_text("class Own:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "my_module")
    assert user_code.find_module("my_module") == tmp_path / "my_module.py"
    assert user_code.find_module("my_module.below") is None
    assert load_class("my_module.Own").__module__ == "my_module"
    assert set(user_code.source_digests(["my_module.Own"])) == {"my_module"}
    monkeypatch.delitem(sys.modules, "my_module")
