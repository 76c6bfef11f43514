"""A real daemon and a Slack that fails: runs succeed, and nothing is sent twice."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.observability.notifications.notifier import read_counts
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.slack import SECRET, SlackDouble, closed_port, slack_double

pytestmark = pytest.mark.slow

CONFIG = """
telemetry:
  enabled: false
run_queue:
  dequeue_interval_seconds: 1
"""
# A file in wanted/ requests a run; its content is the job.
LOCATION = """
import os
from pathlib import Path
import dagster as dg
from ml_assets.automation import notify as automation_notify

automation_notify.SENSOR_SECONDS = 1
automation_notify.FIRST_WAIT = automation_notify.LONGEST_WAIT = 0.5

@dg.op
def fine():
    pass

@dg.op
def broken():
    raise ValueError("broken")

@dg.job(executor_def=dg.in_process_executor)
def good():
    fine()

@dg.job(executor_def=dg.in_process_executor)
def bad():
    broken()

@dg.sensor(
    jobs=[good, bad], minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def requests(context):
    for path in sorted(Path(os.environ["WANTED"]).iterdir()):
        yield dg.RunRequest(
            run_key=path.name, job_name=path.read_text(), tags={"asked": path.name}
        )

defs = dg.Definitions.merge(
    dg.Definitions(jobs=[good, bad], sensors=[requests]), automation_notify.build()
)
"""


class Site:
    """A Dagster home, its daemon, and runs by name."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.wanted = home / "wanted"
        self.wanted.mkdir()
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text(CONFIG)
        (home / "location.py").write_text(LOCATION)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.instance = dg.DagsterInstance.get()

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run"]
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [*command, "-f", str(self.home / "location.py")],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "WANTED": str(self.wanted)},
            )

    @property
    def log(self) -> Path:
        return self.home / "daemon.log"

    def kill(self) -> None:
        """SIGKILL the daemon, its code server and its runs."""
        if self.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def ask(self, name: str, job: str) -> None:
        (self.wanted / name).write_text(job)

    def status(self, name: str) -> str:
        found = self.instance.get_runs(dg.RunsFilter(tags={"asked": name}))
        return found[0].status.value if found else ""

    def run_id(self, name: str) -> str:
        (run,) = self.instance.get_runs(dg.RunsFilter(tags={"asked": name}))
        return run.run_id

    def has_begun(self) -> bool:
        """Whether the sensor had its first tick."""
        return any(
            '"ledgers"' in str(state.instigator_data.cursor)
            for state in self.instance.all_instigator_state()
            if state.name == "notifications" and state.instigator_data
        )

    def close(self) -> None:
        self.kill()
        self.instance.dispose()


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    with slack_double() as running:
        yield running


@pytest.fixture
def site(
    home: Path, monkeypatch: pytest.MonkeyPatch, slack: SlackDouble
) -> Iterator[Site]:
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    monkeypatch.setenv("SLACK_WEBHOOK", slack.url)
    monkeypatch.setenv("ML_ASSETS_UI_URL", "http://dagster.test")
    found = Site(home)
    yield found
    found.close()


def shown(slack: SlackDouble, key: str = "shown") -> Counter[str]:
    """How often a message of each run was sent, by its id."""
    messages = getattr(slack, key)
    return Counter(item["text"].split("/runs/")[1][:36] for item in messages)


def test_runs_succeed_and_messages_arrive_at_most_once_whatever_slack_does(
    site: Site, slack: SlackDouble
) -> None:
    site.start()
    await_true(site.has_begun, "the sensor began")
    # What certainly did not arrive is sent again when Slack is back; a silence is not.
    for answer in (200, 429, 500, "cut", "hang"):
        slack.answer = answer
        slack.came.clear()
        site.ask(f"bad-{answer}", "bad")
        assert await_true(slack.came.is_set, f"an attempt was answered by {answer}")
        site.ask(f"good-{answer}", "good")
        await_true(
            lambda name=f"good-{answer}": site.status(name) == "SUCCESS",
            f"a run succeeded while Slack answered {answer}",
        )
        slack.answer = 200
        slack.released.set()
        if answer in (429, 500):
            name = f"bad-{answer}"
            await_true(lambda: shown(slack)[site.run_id(name)], f"{name} was sent")
    site.ask("bad-last", "bad")
    await_true(lambda: site.status("bad-last") == "FAILURE", "the last run failed")
    await_true(lambda: shown(slack)[site.run_id("bad-last")], "the last was sent")
    counts = shown(slack)
    assert {site.run_id(f"bad-{n}") for n in (200, 429, 500, "last")} == {*counts}
    assert set(counts.values()) == {1}
    silent = shown(slack, "received")
    assert all(silent[site.run_id(f"bad-{n}")] == 1 for n in ("cut", "hang"))
    results = read_counts()["run_failure"]
    assert results["delivered"] == 4 and results["unknown"] == 2
    assert results["undelivered"] >= 2
    assert SECRET not in site.log.read_text()


def test_runs_succeed_where_nobody_listens(
    site: Site, slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{closed_port()}/services/{SECRET}"
    monkeypatch.setenv("SLACK_WEBHOOK", address)
    site.start()
    await_true(site.has_begun, "the sensor began")
    site.ask("bad", "bad")
    await_true(read_counts, "an attempt was made")
    site.ask("good", "good")
    await_true(lambda: site.status("good") == "SUCCESS", "a run succeeded")
    site.kill()
    monkeypatch.setenv("SLACK_WEBHOOK", slack.url)
    site.start()
    await_true(lambda: shown(slack), "the failure was sent once Slack was there")
    assert shown(slack) == {site.run_id("bad"): 1}
    assert SECRET not in site.log.read_text()


def test_a_daemon_killed_again_and_again_sends_nothing_twice(
    site: Site, slack: SlackDouble
) -> None:
    site.start()
    await_true(site.has_begun, "the sensor began")
    for number in range(2):
        slack.came.clear()
        # Killed after the message left, and before its answer came.
        slack.answer = "hang" if number % 2 else 200
        site.ask(f"bad-{number}", "bad")
        await_true(slack.came.is_set, "a message came")
        site.kill()
        slack.answer = 200
        slack.released.set()
        slack.released.clear()
        site.start()
    site.ask("bad-last", "bad")
    await_true(lambda: site.status("bad-last") == "FAILURE", "the last run failed")
    await_true(lambda: shown(slack)[site.run_id("bad-last")], "the last was sent")
    received = shown(slack, "received")
    assert set(received.values()) == {1} and len(received) == 3
