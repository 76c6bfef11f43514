"""What commands print: plain text for programs, laid out where a person reads it.

A stream that is no terminal gets the same text on each machine: full width, nothing cut
off, no colours, no boxes. On a terminal, long columns are wrapped to its width.
``rich`` is imported for a terminal only, and honours ``NO_COLOR`` there.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
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


def echo(
    *fragments: Fragment,
    err: bool = False,
    wraps: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Print one line.

    Parameters
    ----------
    *fragments : str or (str, str)
        The parts of the line, with their style.
    err : bool, default False
        Print to standard error instead of standard output.
    wraps : bool, default False
        Wrap it between words on a terminal that is narrower, as a sentence; a command
        stays one line, so that it can be copied.
    stream : text file, optional
        Where to print instead.
    """
    stream = stream or (sys.stderr if err else sys.stdout)
    if is_terminal(stream):
        console_of(stream).print(_text(*fragments), soft_wrap=not wraps)
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

    Texts are wrapped where that makes room for all, without breaking a word that is no
    longer than an id. Else the longest columns are left out; never the first.

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
    if _total(least) > room:
        while len(kept) > 1 and _total(most[n] for n in kept) > room:
            kept.remove(max(kept[1:], key=lambda n: (most[n], n)))
    spare = room - _total(least[n] for n in kept)
    widths = {}
    for turn, number in enumerate(sorted(kept, key=lambda n: most[n] - least[n])):
        share = max(0, spare) // (len(kept) - turn)
        widths[number] = least[number] + min(share, most[number] - least[number])
        spare -= widths[number] - least[number]
    return kept, [min(widths[number], room) for number in kept]


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


@lru_cache(maxsize=8)
def _made(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, force_terminal=True, highlight=False)


def console_of(stream: TextIO) -> "Console":
    """The console of a terminal; what is printed to it stands above its live line."""
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
    console_of(stream).print(grid)
