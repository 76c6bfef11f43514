"""A real Dagster daemon that delivers releases to two environments."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from click.testing import CliRunner

import ml_assets
from ml_assets.cli import main
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.environment import Environment
from ml_assets_tests.kits.oci import COMMITS, build
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.real_registry import RealRegistry
from ml_assets_tests.kits.slack import SlackDouble

SHIPPED = Path(ml_assets.__file__).parents[1] / "dagster.yaml"
# The shipped instance, with short waits and a dead run noticed soon.
QUICK = {
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 1,
        "start_timeout_seconds": 60,
        "max_runtime_seconds": 40,
    },
    "run_retries": {"enabled": False},
}
LOCATION = """
import dagster as dg
from ml_assets.automation import notify as automation_notify
from ml_assets.automation import delivery as automation
from ml_assets.assets import delivery as assets

automation_notify.SENSOR_SECONDS = 1
automation.STAGING_SECONDS = automation.PRODUCTION_SECONDS = 1
automation.MAX_SECONDS = 40
assets.WAIT_SECONDS = 1
defs = dg.Definitions.merge(
    automation.build(),
    automation_notify.build(),
    dg.Definitions(executor=dg.in_process_executor),
)
"""


class DeliveryDaemon:
    """A daemon that delivers from a registry to two environments, with Slack."""

    def __init__(
        self,
        home: Path,
        registry: RealRegistry,
        environments: tuple[Environment, Environment],
        slack: SlackDouble,
    ) -> None:
        self.home = home
        self.registry = registry
        self.staging, self.production = environments
        self.slack = slack
        self.ledger = Ledger()
        config = yaml.safe_load(SHIPPED.read_text()) | QUICK
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(config))
        (home / "location.py").write_text(LOCATION)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.instance = dg.DagsterInstance.get()
        # The databases are made here: two programs that make them at once collide.
        assert not self.instance.get_runs() and not self.instance.all_asset_keys()
        assert not self.instance.all_instigator_state()

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run"]
        with (self.home / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [*command, "-f", str(self.home / "location.py")],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL the daemon, its code server and its runs, as a power cut does."""
        if self.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def close(self) -> None:
        self.kill()
        self.instance.dispose()

    def push(self, commit: str, *names: str, fault: str = "", where: str = "") -> str:
        """Push the images of a commit; the digest of the release."""
        found = build(COMMITS[commit])
        for environment in (self.staging, self.production):
            environment.commits[found["base"].digest] = COMMITS[commit]
        if fault:
            faulty = self.production if where == "production" else self.staging
            faulty.faults[found["base"].digest] = fault
        return self.registry.push(found, f"sha-{COMMITS[commit]}", *names)

    def approve(self, tag: str) -> Any:
        arguments = ["approve", tag, "--reason", "tested by the risk team"]
        return CliRunner().invoke(main, [*arguments, "--who", "ann"])

    def entries(self) -> list[Entry]:
        assert self.ledger.verify(RELEASE) == []
        return self.ledger.entries(RELEASE)

    def history(self) -> list[tuple[str, str]]:
        """Kind and release of each entry."""
        return [(entry.kind, entry.version) for entry in self.entries()]

    def await_history(self, *expected: tuple[str, str]) -> None:
        await_true(
            lambda: len(self.history()) >= len(expected), f"the ledger has {expected}"
        )
        assert self.history() == [*expected]

    def runs(self, job: str) -> list[dg.DagsterRun]:
        found = self.instance.get_runs(dg.RunsFilter(job_name=job))
        return list(reversed(found))

    def ticks(self, sensor: str) -> list[Any]:
        """Ticks of a sensor, the newest first."""
        for state in self.instance.all_instigator_state():
            if state.instigator_name == sensor:
                return list(
                    self.instance.get_ticks(
                        state.instigator_origin_id, state.selector_id
                    )
                )
        return []

    def await_ticks(self, sensor: str, number: int = 2) -> list[Any]:
        """Wait until a sensor has ticked again; its newest ticks."""
        before = max((tick.tick_id for tick in self.ticks(sensor)), default=0)

        def later() -> list[Any]:
            found = [
                tick
                for tick in self.ticks(sensor)
                if tick.tick_id > before and tick.status.value != "STARTED"
            ]
            return found if len(found) >= number else []

        found: list[Any] = await_true(later, f"{sensor} ticked again")
        return found

    def launch(self, job: str, config: dict[str, Any]) -> dg.DagsterRun:
        """Run a job in a process of its own, as the launchpad does."""
        options = self.home / "config.yaml"
        options.write_text(yaml.safe_dump({"ops": config}))
        command = [str(Path(sys.executable).parent / "dagster"), "job", "execute"]
        subprocess.run(
            [*command, "-f", str(self.home / "location.py"), "-j", job]
            + ["-c", str(options)],
            capture_output=True,
            check=False,
        )
        return self.runs(job)[-1]

    def is_in_slack(self, text: str) -> bool:
        return any(text in message for message in self.slack.texts)
