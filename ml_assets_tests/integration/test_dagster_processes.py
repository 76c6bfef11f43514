"""Dagster's webserver and daemon as containers run them: each line is written once."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.observability.dagster_logs import SITE
from ml_assets_tests.kits import postgres_instance
from ml_assets_tests.kits.processes import await_true, free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not postgres_instance.is_installed(), reason="needs Debian's PostgreSQL"
    ),
]
ROOT = Path(__file__).parents[2]
# One sensor that ticks at once, so that the daemon has something to say.
DEFINITIONS = """
import dagster as dg

@dg.op
def nothing(): ...

@dg.job
def idle():
    nothing()

@dg.sensor(
    job=idle,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def watch(context):
    return dg.SkipReason("nothing to do")

defs = dg.Definitions(jobs=[idle], sensors=[watch])
"""


class Service:
    """A process, and the lines on its standard output and error."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        program = str(Path(sys.executable).with_name(command[0]))
        with log.open("wb") as stream:
            # Both streams of a container end in one log.
            self.process = subprocess.Popen(
                [program, *command[1:]], stdout=stream, stderr=subprocess.STDOUT
            )

    def lines(self) -> list[dict[str, Any]]:
        """What it wrote so far."""
        whole = self._log.read_text().rpartition("\n")[0]
        return [json.loads(text) for text in whole.splitlines()]

    def has_logged(self, text: str) -> bool:
        """Whether a message contains `text`; the process must not have ended."""
        assert self.process.poll() is None, self._log.read_text()
        return any(text in line["message"] for line in self.lines())


@pytest.fixture
def database() -> Iterator[postgres_instance.Cluster]:
    cluster = postgres_instance.Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def instance_home(
    home: Path, database: postgres_instance.Cluster, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The dagster.yaml of containers, with local directories, and its variables."""
    given = (ROOT / "docker/dagster/dagster.yaml").read_text()
    given = given.replace("/var/lib/dagster", str(home / "dagster"))
    given = given.replace(
        "      db_name:", f"      port: {database.port}\n      db_name:"
    )
    (home / "dagster.yaml").write_text(given)
    (home / "definitions.py").write_text(DEFINITIONS)
    found = f"load_from: [{{python_file: {home / 'definitions.py'}}}]\n"
    (home / "workspace.yaml").write_text(found)
    for name, value in {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "unused",  # pragma: allowlist secret
        "DAGSTER_POSTGRES_DB": "postgres",
        "ML_ASSETS_LOG": "json",
        "PYTHONPATH": str(SITE),
    }.items():
        monkeypatch.setenv(name, value)
    return home


def test_webserver_and_daemon_write_each_line_once_though_the_database_came_late(
    instance_home: Path, database: postgres_instance.Cluster
) -> None:
    workspace = ["-w", str(instance_home / "workspace.yaml")]
    (port,) = free_ports(1)
    address = ["-h", "127.0.0.1", "-p", str(port)]
    commands = {
        "webserver": ["dagster-webserver", *address, *workspace],
        "daemon": ["dagster-daemon", "run", *workspace],
    }
    services = {
        name: Service(command, instance_home / f"{name}.log")
        for name, command in commands.items()
    }
    try:
        # Dagster logs it by `logging.warning()`, which gives the root logger a
        # handler: from then on, each line was written by two.
        for service in services.values():
            await_true(lambda s=service: s.has_logged("Retrying failed"), "it tried")
        database.start()
        await_true(
            lambda: services["webserver"].has_logged("Serving dagster"), "it serves"
        )
        await_true(
            lambda: services["daemon"].has_logged("nothing to do"), "a sensor ticked"
        )
    finally:
        for service in services.values():
            service.process.terminate()
        for service in services.values():
            service.process.wait(60)
    for service in services.values():
        lines = [
            (line["process.pid"], line["@timestamp"], line["message"])
            for line in service.lines()
            if line["log.logger"].startswith("dagster")
        ]
        assert lines
        assert [line for line, times in Counter(lines).items() if times > 1] == []
