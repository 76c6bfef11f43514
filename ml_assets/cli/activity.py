"""Work that takes time, shown as a line at the bottom of a terminal.

Where no terminal reads, nothing is shown and ``rich`` is not imported.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from ml_assets.cli.console import console_of, is_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Activity:
    """The line: what is done now, how far it is, and for how long."""

    def __init__(self, progress: "Progress | None" = None) -> None:
        self._progress = progress
        # Events of a run are read by one thread, its work is done by another.
        self._lock = threading.Lock()

    def show(self, text: str) -> None:
        """Show other work, which begins now; nothing where `text` is empty."""
        if self._progress is None:
            return
        with self._lock:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            if text:
                self._progress.add_task(text, total=None, amount="")

    def count(
        self, what: str, done: int | None = None, total: int | None = None
    ) -> None:
        """Show how far the work is: see `ml_assets.core.progress.report`."""
        if self._progress is None:
            return
        shown = amount(what, done, total)
        with self._lock:
            for task in self._progress.task_ids:
                self._progress.update(task, completed=done, total=total, amount=shown)


def amount(what: str, done: int | None = None, total: int | None = None) -> str:
    """How much is done, for people.

    Examples
    --------
    >>> amount("files", 1, 3), amount("rows", 12_000), amount("8 candidates")
    ('1 of 3 files', '12,000 rows', '8 candidates')
    >>> amount("bytes", 1_500_000, 2_000_000)
    '1.5 of 2.0 MB'
    """
    counts = [number for number in (done, total) if number is not None]
    if what == "bytes":
        return f"{' of '.join(f'{number / 1e6:,.1f}' for number in counts)} MB"
    return " ".join(filter(None, (" of ".join(f"{n:,}" for n in counts), what)))


@contextmanager
def activity(text: str = "", stream: TextIO | None = None) -> Iterator[Activity]:
    """Show work on `stream`, by default standard error, until the block ends."""
    stream = stream or sys.stderr
    if not is_terminal(stream):
        yield Activity()
        return
    with _progress(console_of(stream)) as progress:
        shown = Activity(progress)
        shown.show(text)
        yield shown


@contextmanager
def copy_of(stream: TextIO) -> Iterator[TextIO]:
    """`stream` as it is now: Dagster sends what a run prints elsewhere."""
    stream.flush()
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError):
        # Under a test runner it may be no file; nothing is redirected then.
        yield stream
        return
    with os.fdopen(descriptor, "w", buffering=1, encoding="utf-8") as copy:
        yield copy


def _progress(console: "Console") -> "Progress":
    from rich import progress
    from rich.text import Text

    class Bar(progress.BarColumn):
        """A bar where the end is known."""

        def render(self, task: progress.Task) -> Any:
            return super().render(task) if task.total else Text()

    return progress.Progress(
        progress.SpinnerColumn(
            "dots" if console.encoding.startswith("utf") else "line"
        ),
        progress.TextColumn("{task.description}", markup=False),
        progress.TextColumn("{task.fields[amount]}", style="dim", markup=False),
        progress.TimeElapsedColumn(),
        Bar(20),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
