"""A process whose clock can be moved, by libfaketime (Debian's package faketime)."""

import datetime as dt
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"
FILE = "FAKETIME_TIMESTAMP_FILE"


class Clock:
    """The clock of a process; it runs on from where it was set."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_this_process(cls) -> "Clock | None":
        """The clock of this process; None where it cannot be moved."""
        path = os.environ.get(FILE)
        if path is None:
            return None
        # libfaketime refuses the absolute sleeps of Python.
        time.sleep = lambda seconds: select.select([], [], [], seconds) and None
        return cls(Path(path))

    def set(self, moment: dt.datetime) -> None:
        """Go to a moment."""
        self.path.write_text(moment.strftime("@%Y-%m-%d %H:%M:%S"))


def in_moved_time(module: str, arguments: list[str], start: dt.datetime) -> int:
    """Run a module in a process whose clock begins at `start`; its exit code.

    It has an empty ``ML_ASSETS_HOME``.
    """
    found = sorted(Path("/").glob(LIBRARIES))
    if not found:
        raise SystemExit("libfaketime is missing: install the package faketime")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "clock")
        Clock(path).set(start)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(found[0]),
            FILE: str(path),
            "FAKETIME_NO_CACHE": "1",
            # Waits and timeouts take as long as ever.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
            "ML_ASSETS_HOME": str(Path(directory, "home")),
        }
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode
