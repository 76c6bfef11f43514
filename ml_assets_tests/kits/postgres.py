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


class Address(str):
    """Host, port and database of a server that can be restarted."""

    def __new__(cls, text: str, data: Path) -> "Address":
        """The address of the server whose files are in `data`."""
        address = super().__new__(cls, text)
        address.data = data
        return address

    data: Path

    def restart(self) -> None:
        """Have it end as in a crash, and wait until it answers again."""
        # It remembers the options that it was started with.
        given = (
            "-D",
            str(self.data),
            "-w",
            "-l",
            f"{self.data}/log",
            "-m",
            "immediate",
        )
        as_postgres(tool("pg_ctl"), *given, "restart")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Address]:
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
            yield Address(f"127.0.0.1:{port}/postgres", data)
        finally:
            as_postgres(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
