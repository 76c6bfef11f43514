"""A platform of real processes, and a Prometheus that watches it.

An exporter, a model server and a Dagster daemon with the model of the demonstration.
Rules are those of the chart, hastened: an hour is a minute.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.cli.client import ServerClient
from ml_assets.cli.demo import churn
from ml_assets.cli.demo.environment import Ports, await_server
from ml_assets.cli.demo.runs import Runs
from ml_assets.cli.demo.traffic import Traffic
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.processes import Child, Children, cli, script
from ml_assets_tests.conftest import OURS
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.prometheus import (
    RULES,
    Prometheus,
    free_port,
    hastened,
    needs_prometheus,
    prometheus,
)
from ml_assets_tests.kits.slack import SlackDouble, slack_double

needs_faketime = pytest.mark.skipif(
    shutil.which("faketime") is None,
    reason="needs faketime (Debian: apt-get install faketime)",
)
needs_all = (needs_prometheus, needs_faketime)

DAYS_AGO = 40
# Slow requests that wait for their turn: enough that it takes longer than it may.
QUEUE = 24
# Executed with the clock of then.
PAST = """
import os
import select
import time
from pathlib import Path

# libfaketime mistakes the moment until which Python sleeps.
time.sleep = lambda seconds: select.select([], [], [], seconds)

from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.demo.runs import Runs

with dagster_instance() as instance:
    runs = Runs(instance, Path(os.environ["ML_ASSETS_HOME"]) / "churn.yaml")
    runs.run("churn_train")
    runs.launch("gate", "churn_deploy")
"""
# The daemon's code location: the model with its schedules, but without its sensors,
# which the test evaluates itself; and a sensor that requests a run for each file in
# wanted/.
LOCATION = """
import os
from pathlib import Path
import dagster as dg
from ml_assets.automation import notify as automation_notify
from ml_assets.assets.common import TABLES
from ml_assets.spec.catalogue import read_specs
from ml_assets.components.stages import STAGES
from ml_assets.assets.io_managers import TableIOManager

HOME = Path(os.environ["ML_ASSETS_HOME"])
automation_notify.SENSOR_SECONDS = 1
automation_notify.FIRST_WAIT = automation_notify.LONGEST_WAIT = 0.5

@dg.sensor(
    job_name="churn_monitor", minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def requests(context):
    if (HOME / "broken").exists():
        raise ValueError("on purpose")
    for path in sorted((HOME / "wanted").iterdir()):
        yield dg.RunRequest(run_key=path.name)

@dg.definitions
def defs():
    (spec,) = read_specs(HOME / "churn.yaml")
    # No tick is due in this hour, whichever it is.
    spec = spec.model_copy(update={"schedule": "0 2 29 2 *"})
    model = dg.Definitions.merge(*(stage.build(spec) for stage in STAGES))
    kept = dg.Definitions(
        assets=model.assets, asset_checks=model.asset_checks, jobs=model.jobs,
        schedules=[s for s in model.schedules if s.name == "churn_schedule"],
        resources={TABLES: TableIOManager()},
        executor=dg.in_process_executor,
    )
    own = dg.Definitions(sensors=[requests])
    return dg.Definitions.merge(kept, own, automation_notify.build())
"""


class Site:
    """The processes of a platform, its Prometheus, and the alerts that fired.

    Attributes
    ----------
    fired : dict of str to list
        Alerts that were awaited, with their labels.
    """

    def __init__(
        self,
        home: Path,
        children: Children,
        instance: dg.DagsterInstance,
        slack: SlackDouble,
    ) -> None:
        self.home = home
        self.children = children
        self.slack = slack
        self.instance = instance
        self.runs = Runs(instance, home / "churn.yaml")
        self.fired: dict[str, list[dict[str, str]]] = {}
        self.began = time.time()
        (home / "wanted").mkdir()
        (home / "location.py").write_text(LOCATION)
        self.write_model(churn.SMALL_TREE)
        churn.write_customers(home, seed=1)

    def write_model(self, text: churn.Text) -> None:
        """Write the model's YAML."""
        (self.home / "churn.yaml").write_text(str(text))

    def deploy_old_version(self) -> None:
        """Train and deploy a version with the clock of forty days ago."""
        then = ("faketime", "-f", f"-{DAYS_AGO}d")
        command = [*then, sys.executable, "-c", PAST]
        # Waits are not to be faked.
        waits = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        past = self.children.start("past", command, self._log("past"), waits)
        code = past.popen.wait()
        # Dagster's watchers of its output do not end by themselves in that time.
        self.kill(past)
        assert code == 0, past.tail()

    def start(self) -> None:
        """Start the exporter, the model server and the daemon."""
        self.exporter_port = free_port()
        command = cli("exporter", "--port", str(self.exporter_port))
        command += ["--interval", "0.5", "--verify-interval", "1"]
        self.exporter = self._start("exporter", command)
        # Segments are shipped within seconds; a short queue is soon full.
        options = ("--segment-seconds", "0.5", "--max-queue", str(QUEUE))
        command = cli("serve", "--port", "0", "--metrics-port", "0", *options)
        self.server = self._start("server", command)
        location = str(self.home / "location.py")
        command = [script("dagster-daemon"), "run", "-f", location]
        self.daemon = self._start("daemon", command)
        self.ports: Ports = await_server(self.children, self._log("server"))[0]

    def watch(self, prometheus: Prometheus) -> None:
        """Query this Prometheus from now on."""
        self.prometheus = prometheus
        self.began = time.time()

    def start_workers(self) -> int:
        """Start a second server, of two workers; the port of its metrics."""
        options = ("--workers", "2", "--home", str(self.home / "second"))
        command = cli("serve", "--port", "0", "--metrics-port", "0", *options)
        self._start("workers", command)
        ports, _ = await_server(self.children, self._log("workers"))
        return ports.metrics

    def now(self) -> float:
        """The time, once Prometheus has scraped every target after it."""
        moment = time.time()
        await_true(
            lambda: self.prometheus.value("min(timestamp(up))") > moment,
            "every target was scraped",
        )
        return moment

    def launch(self, job: str) -> None:
        """Put a run in the queue."""
        location = str(self.home / "location.py")
        command = [script("dagster"), "job", "launch", "-f", location, "-j", job]
        subprocess.run(command, check=True, capture_output=True)

    @contextlib.contextmanager
    def traffic(self) -> Iterator[Traffic]:
        """A client of the model server."""
        with ServerClient(self.ports.url) as client:
            yield Traffic(client, self.children)

    def await_alert(self, name: str, /, **labels: str) -> None:
        """Wait until an alert fires with these labels among its own."""

        def found() -> list[dict[str, str]]:
            fires = self.prometheus.firing().get(name, [])
            return [item for item in fires if labels.items() <= item.items()]

        self.fired[name] = await_true(found, f"{name} {labels} fired")

    def await_cleared(self, name: str) -> None:
        """Wait until an alert does not fire any more."""
        cleared = f"{name} cleared"
        await_true(lambda: name not in self.prometheus.firing(), cleared)

    def await_value(self, expression: str, wanted: Callable[[float], bool]) -> None:
        """Wait until the value of an expression is as wanted."""
        await_true(lambda: wanted(self.prometheus.value(expression)), expression)

    def kill(self, child: Child) -> None:
        """SIGKILL a process and what it started."""
        child.popen.kill()
        child.finish(time.monotonic())
        self.children.forget(child)

    def _start(self, name: str, command: list[str]) -> Child:
        return self.children.start(name, command, self._log(name))

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"


class KillableChildren(Children):
    """Children of which some are killed on purpose."""

    def forget(self, child: Child) -> None:
        """Do not require any more that it is alive."""
        self._children.remove(child)


@contextlib.contextmanager
def observed(home: Path) -> Iterator[Site]:
    """A site in the directory `home`, to which the environment points meanwhile."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        slack = stack.enter_context(slack_double())
        for name in list(os.environ):
            if name.startswith(OURS):
                patch.delenv(name)
        patch.setenv("ML_ASSETS_HOME", str(home))
        patch.setenv("DAGSTER_HOME", str(home / "dagster"))
        patch.setenv("SLACK_WEBHOOK", slack.url)
        children = stack.enter_context(KillableChildren())
        instance = stack.enter_context(dagster_instance())
        site = Site(home, children, instance, slack)
        site.deploy_old_version()
        site.start()
        (home / "rules.yaml").write_text(hastened(RULES.read_text()))
        targets = {
            "ml-assets-model-server": [site.ports.metrics],
            "ml-assets-exporter": [site.exporter_port],
        }
        rules = home / "rules.yaml"
        site.watch(stack.enter_context(prometheus(home, targets, rules)))
        yield site
