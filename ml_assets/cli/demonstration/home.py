"""Where the demonstration lives: a directory of its own, emptied at the start."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_assets.cli.instance import prepare
from ml_assets.cli.output import Failed, quiet_libraries
from ml_assets.core.storage import home

MARKER = ".ml_assets_demo"
# What of the caller's environment would lead the demonstration elsewhere.
FOREIGN = ("ML_ASSETS_", "MLFLOW_", "DAGSTER_")


@contextmanager
def empty_place() -> Iterator[Path]:
    """An empty home directory that the environment names, for one demo at a time.

    Raises
    ------
    Failed
        If another demonstration runs there, or the directory is not one of ours.
    """
    place = home() / "demo"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another demo is running in {place}") from None
        _empty(place)
        _point_environment(place)
        yield place


def _empty(place: Path) -> None:
    if place.exists() and not (place / MARKER).exists():
        raise Failed(
            f"{place} is not empty and was not made by the demo; move it away, or set"
            " ML_ASSETS_HOME to another directory"
        )
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / MARKER).touch()


def _point_environment(place: Path) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            del os.environ[name]
    os.environ["ML_ASSETS_HOME"] = str(place)
    # Two threads on shared cores make the same fit up to eight times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    quiet_libraries()
    prepare(place / "dagster")
