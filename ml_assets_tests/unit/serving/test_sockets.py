"""A Unix socket fits wherever temporary files go."""

import socket
import tempfile
from pathlib import Path

import pytest

from ml_assets.serving.sockets import socket_directory


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
