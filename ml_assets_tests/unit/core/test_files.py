"""Writes are whole or absent, a name is created once, locks exclude."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ml_assets.core.files import (
    NameFault,
    StorageError,
    atomic_path,
    below,
    home,
    read_json,
    write_bytes,
    write_json,
)
from ml_assets.core.storage import storage
from ml_assets.serving.models.rendezvous import Rendezvous
from ml_assets.serving.settings import ServerSettings
from ml_assets.state.tables import Tables
from ml_assets.state.versions import UnknownVersionError, Versions
from ml_assets_tests.kits.plans import published


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    write_bytes(target, b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert [item.name for item in target.parent.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "bundle") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("1")
        assert not (tmp_path / "bundle").exists()
    assert (tmp_path / "bundle" / "a").read_text() == "1"


def test_a_killed_writer_leaves_no_target(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from ml_assets.core.files import atomic_path
        with atomic_path(Path({str(tmp_path)!r}) / "file") as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "file").exists()
    assert all(item.name.startswith(".tmp-") for item in tmp_path.iterdir())


def test_json_goes_round_and_absence_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, None]})
    assert read_json(tmp_path / "a.json") == {"b": [1, None]}
    assert read_json(tmp_path / "absent.json") is None


def test_storage_is_the_home_unless_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert storage().root == home() == Path(os.environ["ML_ASSETS_HOME"])
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(tmp_path / "elsewhere"))
    assert storage().root == tmp_path / "elsewhere"


def test_another_url_is_refused_and_no_directory_is_made_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="ML_ASSETS_STORAGE is 'ftp://other'"):
        ServerSettings.load({"storage": "ftp://other"}, {})
    assert ServerSettings.load({"storage": "s3://b/ml"}, {}).storage == "s3://b/ml"
    assert list(tmp_path.iterdir()) == []
    url = f"file://{tmp_path}/store"
    monkeypatch.setenv("ML_ASSETS_STORAGE", url)
    assert storage().root == tmp_path / "store"
    assert ServerSettings.load({}, {}).storage == str(tmp_path / "store")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../m/20261123T020000Z",
            "/etc",
            "a/b",
            "a\\\\b",
            "v1\n",
            "v\0",
        ),
        *("%2e%2e", "a b", ".hidden", "-rf", "v\u0661", "\uff0e\uff0e", "x" * 201),
    ],
)
def test_a_name_from_outside_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    """Whichever table, plan or proposal it was meant for."""
    Versions().reserve("m", "run")
    for attempt in (
        lambda: below(tmp_path, name),
        lambda: Tables().read("churn", "raw", name),
        lambda: published(tmp_path).current(name),
        lambda: published(tmp_path).pinned(name, "1"),
        lambda: Rendezvous(tmp_path).proposal(name),
        lambda: Versions().document("churn", name, "spec.json"),
    ):
        with pytest.raises(NameFault, match="is no name: expected letters"):
            attempt()
    with pytest.raises(UnknownVersionError, match="model churn has no version"):
        Versions().get("churn", name)
