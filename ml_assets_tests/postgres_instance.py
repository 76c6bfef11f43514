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


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A new cluster without durability; gives the URL of its database."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    if prefix:
        shutil.chown(directory, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data = str(directory / "data")
    settings = f"-p {port} -k {directory} -c fsync=off -c listen_addresses=127.0.0.1"

    def call(tool: str, *arguments: str) -> None:
        subprocess.run(
            [*prefix, str(TOOLS / tool), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
        )

    call("initdb", "-D", data, "-A", "trust", "-U", "postgres")
    call("pg_ctl", "-D", data, "-w", "-l", f"{directory}/log", "-o", settings, "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory)


def dagster_yaml(url: str) -> str:
    """The configuration of an instance that keeps everything there.

    SQLAlchemy 2.1 reads the bare scheme as another driver.
    """
    url = url.replace("postgresql:", "postgresql+psycopg2:")
    return (
        "telemetry: {enabled: false}\n"
        f'storage: {{postgres: {{postgres_url: "{url}"}}}}\n'
    )
