"""A Unix socket fits wherever temporary files go."""

import socket
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets.serving.process.sockets import socket_directory


@pytest.mark.parametrize("length", [1, 60, 100, 200])
def test_a_socket_can_be_bound_below_a_long_tmpdir(length, tmp_path, monkeypatch):
    long = tmp_path / ("d" * length)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with (
        tempfile.TemporaryDirectory(prefix="ml-assets-", dir=socket_directory()) as top,
        socket.socket(socket.AF_UNIX) as bound,
    ):
        bound.bind(str(Path(top) / "15"))


@pytest.mark.parametrize("command", ["handoff", "serve"])
@pytest.mark.parametrize(
    "name", ["d" * 107, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 54]
)
def test_a_handoff_that_no_socket_can_be_is_refused(command, name):
    done = CliRunner().invoke(main, [command, "--handoff", f"/{name}", "--port", "0"])
    assert done.exit_code == 2
    assert "expected at most 107" in done.output


def test_a_handoff_where_nothing_can_be_written_is_refused(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "handoff.sock")
    done = CliRunner().invoke(main, ["handoff", "--handoff", path, "--port", "0"])
    assert done.exit_code == 1
    assert f"cannot listen on {tmp_path}/file" in done.output + capfd.readouterr().err
