"""What commands print: tables for people, JSON for programs, reasons for failures."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage."


class Failed(click.ClickException):
    """The command failed; it ends with exit code 1 and the message, no traceback."""

    exit_code = 1


def json_option(function: F) -> F:
    """Add ``--json`` as the argument ``as_json``."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON with stable keys."
    )
    return option(function)


def echo_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def echo_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns that are as wide as they need to be.

    Examples
    --------
    >>> echo_table(["model", "rows"], [["census_income", "32561"], ["a", "7"]])
    model          rows
    census_income  32561
    a              7
    """
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    for number, row in enumerate(cells):
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        line = "  ".join(padded).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def figure(value: Any) -> str:
    """A metric with four digits; ``-`` where there is none.

    Examples
    --------
    >>> figure(0.96491), figure(None)
    ('0.9649', '-')
    """
    return "-" if value is None else f"{value:.4f}"


@contextmanager
def told(*kinds: type[Exception], doing: str = "") -> Iterator[None]:
    """Turn the foreseen exceptions `kinds` into a `Failed` with their message."""
    try:
        yield
    except kinds as error:
        text = str(error) or type(error).__name__
        raise Failed(f"{doing}: {text}" if doing else text) from error


def verdict(passed: bool | None) -> str:
    """What the gate said, coloured where the terminal shows colours."""
    if passed is None:
        return "not evaluated"
    return "passed" if passed else "refused"


def quiet_libraries() -> None:
    """Keep progress bars and usage reports of libraries out of our output."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's migrations of a new database write a line each.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
