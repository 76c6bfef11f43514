"""A real Postgres for a test module, on a port of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def tool(name: str) -> str:
    found = shutil.which(name)
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found is None and not candidates:
        pytest.skip(f"{name} is not installed: there is no Postgres")
    return found or str(candidates[-1])


def as_postgres(*command: str) -> None:
    """Run a tool of Postgres, which refuses to be run by root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Address of a fresh Postgres, whose user ann needs the password ``p@ss/word``."""
    initdb, pg_ctl = tool("initdb"), tool("pg_ctl")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        home = Path(name)
        (home / "password").write_text("p@ss/word")
        home.chmod(0o755)
        data = home / "data"
        data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(data, "postgres")
        as_postgres(
            initdb,
            *("-D", str(data), "-U", "ann", "--auth=scram-sha-256", "--no-sync"),
            f"--pwfile={home / 'password'}",
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {data}"
        as_postgres(
            pg_ctl, "-D", str(data), "-w", "-l", f"{data}/log", "-o", options, "start"
        )
        try:
            yield f"127.0.0.1:{port}/postgres"
        finally:
            as_postgres(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
