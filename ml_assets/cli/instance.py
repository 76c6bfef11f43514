"""The Dagster instance of the commands, and how Dagster finds the code location."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import ml_assets
from ml_assets.cli.output import Failed
from ml_assets.core import project
from ml_assets.core.files import home, locked, require_address, write_bytes

if TYPE_CHECKING:
    from dagster import DagsterInstance

# The platform's own, for commands in a directory of no project.
PLATFORM = Path(ml_assets.__file__).parents[1]
# Where the project's own file is not at hand, the one thing that must be set.
MINIMAL = b"telemetry:\n  enabled: false\n"


def dagster_home() -> Path:
    """``DAGSTER_HOME``; by default ``dagster`` below the home directory."""
    return Path(os.environ.get("DAGSTER_HOME") or home() / "dagster").absolute()


def prepare(directory: Path, refresh: bool = False) -> None:
    """Make `directory` a Dagster home and name it in the environment.

    Parameters
    ----------
    directory : Path
        Created where absent.
    refresh : bool, default False
        Replace its ``dagster.yaml`` by the project's.
    """
    require_address(directory, "DAGSTER_HOME")
    target = directory / "dagster.yaml"
    directory.mkdir(parents=True, exist_ok=True)
    if refresh or not target.exists():
        config = _root() / "dagster.yaml"
        if config.exists():
            shutil.copyfile(config, target)
        elif not target.exists():
            write_bytes(target, MINIMAL)
    os.environ["DAGSTER_HOME"] = str(directory)


def workspace_arguments() -> list[str]:
    """Options of Dagster's programs: ``workspace.yaml``, else the modules."""
    file = _root() / "workspace.yaml"
    if file.exists():
        return ["-w", str(file)]
    found = project.find()
    targets = [item.target for item in found.projects] if found else []
    modules = targets or ["ml_assets.definitions"]
    return [part for module in modules for part in ("-m", module)]


def _root() -> Path:
    """The directory that may have the files of Dagster."""
    found = project.find()
    return found.root if found else PLATFORM


@contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """The instance in which runs are recorded, made where it is absent.

    Raises
    ------
    Failed
        If its configuration or its database cannot be used.
    """
    if not os.environ.get("DAGSTER_HOME"):
        click.echo(
            f"DAGSTER_HOME is not set; using {dagster_home()}, as `ml-assets dev` does",
            err=True,
        )
    try:
        prepare(dagster_home())
    except OSError as error:
        raise Failed(
            f"DAGSTER_HOME {dagster_home()} cannot be written: {error}"
        ) from error
    from dagster import DagsterError, DagsterInstance

    try:
        # Two processes that create the tables of a new SQLite file at once both fail.
        with locked(dagster_home() / ".instance.lock"):
            instance = DagsterInstance.get()
    except DagsterError as error:
        raise Failed(f"the Dagster instance cannot be opened: {error}") from error
    with instance:
        yield instance
