"""A PostgreSQL server of its own, where Debian's is installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOOLS = Path("/usr/lib/postgresql/15/bin")


def is_installed() -> bool:
    """Whether there is a server to start."""
    return (TOOLS / "initdb").exists()


class Cluster:
    """A new cluster without durability, which is not started yet.

    Attributes
    ----------
    url
        Of its database.
    """

    def __init__(self) -> None:
        self._prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._directory = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._prefix:
            shutil.chown(self._directory, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._call("initdb", "-A", "trust", "-U", "postgres")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (
            f"-p {self.port} -k {self._directory} -c fsync=off"
            " -c listen_addresses=127.0.0.1"
        )
        log = f"{self._directory}/log"
        self._call("pg_ctl", "-w", "-l", log, "-o", settings, "start")

    def remove(self) -> None:
        """Stop it, and remove its files."""
        if (self._directory / "data" / "postmaster.pid").exists():
            self._call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self._directory)

    def _call(self, tool: str, *arguments: str) -> None:
        data = str(self._directory / "data")
        subprocess.run(
            [*self._prefix, str(TOOLS / tool), "-D", data, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._directory,
        )


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A new cluster that answers; gives the URL of its database."""
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster.url
    finally:
        cluster.remove()


def dagster_yaml(url: str) -> str:
    """The configuration of an instance that keeps everything there.

    SQLAlchemy 2.1 reads the bare scheme as another driver.
    """
    url = url.replace("postgresql:", "postgresql+psycopg2:")
    return (
        "telemetry: {enabled: false}\n"
        f'storage: {{postgres: {{postgres_url: "{url}"}}}}\n'
    )
