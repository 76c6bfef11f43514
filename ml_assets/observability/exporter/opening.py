"""The Dagster instance, opened when it is asked for, and again where that failed."""

import os
import threading
from contextlib import ExitStack
from pathlib import Path

from dagster import DagsterInstance

from ml_assets.core.storage import locked


class Opening:
    """Opens the instance of the Dagster home `directory` once, for every follower."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._instance: DagsterInstance | None = None
        self._lock = threading.Lock()

    def instance(self) -> DagsterInstance:
        """The instance; an error if its configuration or database is no use now."""
        with self._lock, ExitStack() as stack:
            if self._instance is None:
                # Two processes that create the tables of a new SQLite file at once
                # both fail. In a pod the directory is read-only and holds no tables.
                if os.access(self._directory, os.W_OK):
                    stack.enter_context(locked(self._directory / ".instance.lock"))
                self._instance = DagsterInstance.from_config(str(self._directory))
            return self._instance

    def close(self) -> None:
        """Let go of the instance."""
        with self._lock:
            if self._instance is not None:
                self._instance.dispose()
                self._instance = None
