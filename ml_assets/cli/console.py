"""What commands print: plain text for programs, laid out where a person reads it.

A stream that is no terminal gets the same text on each machine: full width, nothing cut
off, no colours, no boxes. On a terminal, long columns are wrapped to its width, and a
line at the bottom shows work that takes time. ``rich`` is imported for a terminal only,
and honours ``NO_COLOR`` there.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.text import Text

# A text, or a text and its style.
Fragment = str | tuple[str, str]

GAP = 2
# A wrapped column is at least so wide, and a word that is longer is broken: an id fits.
NARROWEST, LONGEST = 20, 36
PLAIN_TERMINALS = ("", "dumb", "unknown")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads `stream`, on a terminal whose cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM", "") not in PLAIN_TERMINALS


def width_of(stream: TextIO) -> int | None:
    """Columns of the terminal behind `stream`; None where there is none."""
    if not is_terminal(stream):
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    return os.get_terminal_size(stream.fileno()).columns or 80


def text_of(fragment: Fragment) -> str:
    """A fragment without its style."""
    return fragment if isinstance(fragment, str) else fragment[0]


def echo(*fragments: Fragment, err: bool = False, stream: TextIO | None = None) -> None:
    """Print one line; a terminal that is narrower goes on in the next row.

    Parameters
    ----------
    *fragments : str or (str, str)
        The parts of the line, with their style.
    err : bool, default False
        Print to standard error instead of standard output.
    stream : text file, optional
        Where to print instead.
    """
    stream = stream or (sys.stderr if err else sys.stdout)
    if is_terminal(stream):
        _console(stream).print(_text(*fragments), soft_wrap=True)
    else:
        click.echo("".join(map(text_of, fragments)), file=stream)


def item(
    label: Fragment,
    *fragments: Fragment,
    width: int,
    indent: int = 0,
    stream: TextIO | None = None,
) -> None:
    """Print a label of `width` columns and its text, which is wrapped beside it.

    Examples
    --------
    >>> item(("version", "bold"), "20261123T020000Z", width=10)
    version    20261123T020000Z
    """
    stream = stream or sys.stdout
    padded = " " * indent + text_of(label).ljust(width)
    styled = (padded, "" if isinstance(label, str) else label[1])
    if not is_terminal(stream):
        echo(styled, " ", *fragments, stream=stream)
        return
    room = (width_of(stream) or 80) - len(padded) - 1
    if room < NARROWEST:
        echo(styled, " ", *fragments, stream=stream)
    else:
        _print_row(stream, [(styled,), fragments], [len(padded), room], gap=1)


def table(headers: Sequence[str], rows: Sequence[Sequence[Fragment]]) -> None:
    """Print columns to standard output, as wide as they need to be.

    On a terminal, long texts are wrapped within their columns. The longest columns of a
    table that has no room for all stand below each row instead, with their headers.

    Examples
    --------
    >>> table(["model", "rows"], [["census_income", "32561"], ["a", "7"]])
    model          rows
    census_income  32561
    a              7
    """
    columns = [[header] for header in headers]
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            column.append(text_of(cell))
    room = width_of(sys.stdout)
    if room is None:
        widths = [max(map(len, column)) for column in columns]
        for cells in zip(*columns, strict=True):
            padded = (text.ljust(n) for text, n in zip(cells, widths, strict=True))
            click.echo("  ".join(padded).rstrip())
        return
    kept, widths = fitted(columns, room)
    below = [number for number in range(len(headers)) if number not in kept]
    label = max((len(headers[number]) for number in below), default=0)
    _print_row(sys.stdout, [[(headers[n], "bold")] for n in kept], widths)
    for row in rows:
        _print_row(sys.stdout, [[row[n]] for n in kept], widths)
        for number in below:
            if text_of(row[number]):
                item((headers[number], "dim"), row[number], width=label, indent=GAP)


def fitted(columns: Sequence[Sequence[str]], room: int) -> tuple[list[int], list[int]]:
    """The columns that stand side by side in `room`, and their widths.

    No word is broken but one that is longer than an id; the first column always stays.

    Examples
    --------
    >>> texts = [["model", "churn"], ["reason", "accuracy 0.8 is above 0.7, strictly"]]
    >>> fitted(texts, 80), fitted(texts, 30), fitted(texts, 20)
    (([0, 1], [5, 35]), ([0, 1], [5, 23]), ([0], [5]))
    """
    from rich.cells import cell_len

    most = [max(map(cell_len, column)) for column in columns]
    words = [max(map(cell_len, " ".join(column).split())) for column in columns]
    least = [
        min(n, max(NARROWEST, min(word, LONGEST)))
        for n, word in zip(most, words, strict=True)
    ]
    kept = [*range(len(columns))]
    while len(kept) > 1 and sum(least[n] + GAP for n in kept) - GAP > room:
        kept.remove(max(kept[1:], key=lambda n: (most[n], n)))
    spare = room - sum(least[n] + GAP for n in kept) + GAP
    widths = {}
    for place, number in enumerate(sorted(kept, key=lambda n: most[n] - least[n])):
        share = max(0, spare) // (len(kept) - place)
        widths[number] = least[number] + min(share, most[number] - least[number])
        spare -= widths[number] - least[number]
    return kept, [widths[number] for number in kept]


class Activity:
    """A line at the bottom of a terminal that shows what is done, and for how long."""

    def __init__(self, progress: "Progress | None" = None) -> None:
        self._progress = progress

    def show(self, text: str) -> None:
        """Show other work, which begins now; nothing where `text` is empty."""
        if self._progress is not None:
            self._progress.columns = _columns(self._progress.console, None)
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            if text:
                self._progress.add_task(text, total=None, amount="")

    def count(
        self, what: str, done: int | None = None, total: int | None = None
    ) -> None:
        """Show how far the work is: see `ml_assets.core.progress.report`."""
        if self._progress is not None:
            shown = amount(what, done, total)
            self._progress.columns = _columns(self._progress.console, total)
            for task in self._progress.task_ids:
                self._progress.update(task, completed=done, total=total, amount=shown)


def amount(what: str, done: int | None, total: int | None) -> str:
    """How much is done, for people.

    Examples
    --------
    >>> amount("files", 1, 3), amount("rows", 12_000, None)
    ('1 of 3 files', '12,000 rows')
    >>> amount("8 candidates", None, None)
    '8 candidates'
    >>> amount("bytes", 1_500_000, 2_000_000)
    '1.5 of 2.0 MB'
    """
    if done is None:
        return what
    if what == "bytes":
        shown = [f"{n / 1e6:,.1f}" for n in (done, total) if n is not None]
        return f"{' of '.join(shown)} MB"
    shown = [f"{n:,}" for n in (done, total) if n is not None]
    return f"{' of '.join(shown)} {what}"


@contextmanager
def activity(text: str = "", stream: TextIO | None = None) -> Iterator[Activity]:
    """Show work on `stream`, by default standard error, until the block ends.

    What is printed to the same stream meanwhile stands above the line.
    """
    stream = stream or sys.stderr
    if not is_terminal(stream):
        yield Activity()
        return
    with _progress(_console(stream)) as progress:
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


# One for each stream, so that what is printed knows the line at its bottom.
@lru_cache(maxsize=8)
def _made(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, force_terminal=True, highlight=False)


def _console(stream: TextIO) -> "Console":
    console = _made(stream)
    # Of this stream's terminal, whatever the standard streams are redirected to.
    console.width = width_of(stream) or 80
    return console


def _text(*fragments: Fragment) -> "Text":
    from rich.text import Text

    return Text.assemble(*fragments)


def _print_row(
    stream: TextIO,
    cells: Sequence[Sequence[Fragment]],
    widths: Sequence[int],
    gap: int = GAP,
) -> None:
    from rich.table import Table

    grid = Table.grid(padding=(0, gap, 0, 0))
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*(_text(*cell) for cell in cells))
    _console(stream).print(grid)


def _progress(console: "Console") -> "Progress":
    from rich.progress import Progress

    return Progress(
        *_columns(console, None),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _columns(console: "Console", total: int | None) -> tuple["ProgressColumn", ...]:
    """What the line of an activity is made of; a bar only where its end is known."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    return (
        SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}", markup=False),
        *([BarColumn(20)] if total else []),
        TextColumn("{task.fields[amount]}", style="dim", markup=False),
        TimeElapsedColumn(),
    )
