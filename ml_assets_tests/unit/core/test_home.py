"""A home that the URLs of its databases cannot carry is refused by name."""

import pytest

from ml_assets.cli.instance import prepare
from ml_assets.core.files import StorageError, home


@pytest.mark.parametrize("name", ["what?x=1", "a%20b", "%41", "deep?/er"])
def test_a_home_that_no_url_can_carry_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / name))
    with pytest.raises(StorageError, match="ML_ASSETS_HOME .* holds '[?%].*choose"):
        home()
    with pytest.raises(StorageError, match="DAGSTER_HOME .* holds '[?%].*choose"):
        prepare(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_working_directory_that_no_url_can_carry_is_refused(tmp_path, monkeypatch):
    (tmp_path / "why?").mkdir()
    monkeypatch.chdir(tmp_path / "why?")
    monkeypatch.delenv("ML_ASSETS_HOME")
    with pytest.raises(StorageError, match="ML_ASSETS_HOME"):
        home()


@pytest.mark.parametrize(
    "name",
    ["x#y", "q'u \"o", "é ü", "100%", "%(here)s", "{curly}", "back\\slash", "a:b"],
)
def test_any_other_home_is_accepted(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / name))
    assert home().name == name
