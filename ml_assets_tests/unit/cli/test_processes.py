"""Processes that a command starts end with it, and their deaths are noticed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from ml_assets.cli.demo.environment import MARKER, empty_home
from ml_assets.cli.dev import require_free
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children, script
from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.processes import await_true

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
# Ignores the request to stop, and has a child that outlives it.
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n",
]

# Is asked to end in a callback of the garbage collector, whose exceptions are dropped,
# by what the signal stands for while Dagster runs a job.
INTERRUPTED_IN_A_CALLBACK = """
import signal, sys, time, weakref
from dagster import DagsterExecutionInterruptedError
from dagster._utils.interrupts import raise_interrupts_as
from ml_assets.cli.processes import heed_termination

class Item: pass

def interrupt(_):
    signal.raise_signal(signal.Signals[sys.argv[1]])
    print("goes on", flush=True)

heed_termination()
item = Item()
reference = weakref.ref(item, interrupt)
try:
    with raise_interrupts_as(DagsterExecutionInterruptedError):
        del item
        time.sleep(float(sys.argv[2]))
except DagsterExecutionInterruptedError:
    print("ends")
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_nothing_is_left_when_the_block_ends(tmp_path: Path) -> None:
    with Children() as children:
        child = children.start("sleeper", SLEEP, tmp_path / "log")
        assert is_alive(child.popen.pid)
    assert not is_alive(child.popen.pid)
    assert child.popen.returncode == -signal.SIGTERM


def test_a_stubborn_process_and_its_children_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.cli.processes.STOP_SECONDS", 0.2)
    log = tmp_path / "log"
    with pytest.raises(ZeroDivisionError), Children() as children:
        child = children.start("stubborn", STUBBORN, log)
        grandchild = int(await_true(log.read_text, "it started"))
        raise ZeroDivisionError
    assert not is_alive(child.popen.pid)
    await_true(lambda: not is_alive(grandchild), "its child ended", 5)


def test_a_death_is_reported_with_the_end_of_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such plan'); raise SystemExit(3)"]
    with Children() as children:
        children.start("model server", command, tmp_path / "log").popen.wait()
        with pytest.raises(Failed) as caught:
            children.wait_for(lambda: None, "an answer", 10)
    assert "the model server ended with exit code 3" in caught.value.message
    assert "no such plan" in caught.value.message


def test_waiting_too_long_names_what_did_not_come(tmp_path: Path) -> None:
    with Children() as children:
        children.start("sleeper", SLEEP, tmp_path / "log")
        with pytest.raises(Failed, match="an answer did not come within 0.2 s; see"):
            children.wait_for(lambda: None, "an answer", 0.2)


def test_programs_are_those_beside_the_interpreter() -> None:
    done = subprocess.run([script("ml-assets"), "--version"], capture_output=True)
    assert done.stdout.startswith(b"ml-assets, version ")


def test_a_directory_for_sockets_that_is_too_long_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/" + "t" * 90)
    with pytest.raises(Failed, match="TMPDIR has 91 bytes.*of at most 90"):
        script("dagster")
    monkeypatch.setattr("tempfile.tempdir", "/" + "t" * 89)
    assert script("dagster").endswith("dagster")


@pytest.fixture
def own_environment() -> Iterator[None]:
    """The demo changes the environment of its process, which here others share."""
    with mock.patch.dict(os.environ):
        yield


def test_the_demo_starts_from_an_empty_directory(
    home: Path, own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_STORAGE", "/elsewhere")
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    with empty_home() as directory:
        (directory / "left over").touch()
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    with empty_home() as directory:
        assert directory == home / "demo"
        assert not (directory / "left over").exists()
        assert os.environ["ML_ASSETS_HOME"] == str(directory)
        assert "ML_ASSETS_STORAGE" not in os.environ
        assert os.environ["DAGSTER_HOME"] == str(directory / "dagster")


def test_the_demo_empties_no_directory_that_it_did_not_make(home: Path) -> None:
    (home / "demo").mkdir()
    (home / "demo" / "thesis.txt").touch()
    with pytest.raises(Failed, match="was not made by the demo"), empty_home():
        pass
    assert (home / "demo" / "thesis.txt").exists()


def test_two_demos_in_one_home_exclude_each_other(
    home: Path, own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty_home() as directory:
        monkeypatch.setenv("ML_ASSETS_HOME", str(home))
        with pytest.raises(Failed, match="another demo is running"), empty_home():
            pass
        assert (directory / MARKER).exists()


def test_a_busy_port_is_reported_with_the_option_to_change() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(Failed, match=f"port {port} .*another with --ui-port"):
            require_free(port, "ui-port")
    require_free(port, "ui-port")


def test_a_stop_takes_no_longer_than_the_process_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who waited for it would not come back today.
    monkeypatch.setattr("ml_assets.cli.processes.STOP_SECONDS", 1e6)
    with Children() as children:
        log = tmp_path / "log"
        children.start("sleeper", SLEEP, log)
        await_true(log.read_text, "it started")


# No signal had it raised.
CANCELLED_IN_A_FINALIZER = """
import asyncio, signal
from ml_assets.cli.processes import heed_termination

class Item:
    def __del__(self):
        raise asyncio.CancelledError

heed_termination()
Item()
print(signal.getitimer(signal.ITIMER_REAL))
"""


def test_what_else_is_dropped_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CANCELLED_IN_A_FINALIZER],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "(0.0, 0.0)\n" and "CancelledError" in done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_no_interruption_is_dropped(name: str) -> None:
    arguments = [INTERRUPTED_IN_A_CALLBACK, name, str(PATIENCE)]
    done = subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("ends\n", "")


# As a shell starts what it runs in the background.
INTERRUPTED_AFTER_A_JOB = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from dagster._utils.interrupts import capture_interrupts
from ml_assets.cli.processes import Interrupted, heeding_termination

with heeding_termination(), capture_interrupts():
    pass
try:
    signal.raise_signal(signal.SIGTERM)
except Interrupted:
    print("ends")
"""


def test_sigterm_is_heeded_after_a_job_that_ran_in_the_background() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AFTER_A_JOB],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ends\n"
