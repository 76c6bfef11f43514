"""Processes whose clock can be moved, by libfaketime (Debian's package faketime)."""

import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"
FILE, BASE = "FAKETIME_TIMESTAMP_FILE", "BENCHMARK_CLOCK_BASE"
CACHE_SECONDS = 1
# libfaketime refuses the absolute sleeps of Python.
CUSTOM = """
import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


class Clock:
    """The clock of this process and of all that it starts; it runs on when it is set.

    Parameters
    ----------
    path : Path
        What libfaketime reads.
    base : float
        By how many seconds the true time is ahead of the monotonic clock, which is
        never moved.
    """

    def __init__(self, path: Path, base: float) -> None:
        self._path, self._base = path, base

    @classmethod
    def of_this_process(cls) -> "Clock | None":
        """The clock of this process; None where it cannot be moved."""
        path, base = os.environ.get(FILE), os.environ.get(BASE)
        return cls(Path(path), float(base)) if path and base else None

    def set(self, moment: dt.datetime) -> None:
        """Go to a moment, and wait until every process is there."""
        ahead = moment.timestamp() - (self._base + time.monotonic())
        # Replaced as a whole: other processes read it at any time.
        new = self._path.with_suffix(".new")
        new.write_text(f"{ahead:+.3f}")
        new.replace(self._path)
        # Waits are not moved.
        time.sleep(CACHE_SECONDS + 0.5)


def in_moved_time(module: str, arguments: list[str], start: dt.datetime) -> int:
    """Run a module in a process whose clock begins at `start`; its exit code.

    It has an empty ``ML_ASSETS_HOME``, and ``DAGSTER_HOME`` below it.
    """
    found = sorted(Path("/").glob(LIBRARIES))
    if not found:
        raise SystemExit("libfaketime is missing: install the package faketime")
    base = time.time() - time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "sitecustomize.py").write_text(CUSTOM)
        path = Path(directory, "clock")
        Clock(path, base).set(start)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(found[0]),
            FILE: str(path),
            BASE: str(base),
            # Without, each look at the clock reads the file, thousands in a second.
            "FAKETIME_CACHE_DURATION": str(CACHE_SECONDS),
            # Waits and timeouts take as long as ever.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
            "PYTHONPATH": os.pathsep.join((directory, str(ROOT))),
            "ML_ASSETS_HOME": str(Path(directory, "home")),
            "DAGSTER_HOME": str(Path(directory, "home", "dagster")),
        }
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode
