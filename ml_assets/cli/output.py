"""What commands have in common: JSON for programs, reasons for failures."""

import json
import os
from collections.abc import Callable, Iterator
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


@contextmanager
def reporting_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the foreseen exceptions `kinds` into a `Failed` with their message."""
    try:
        yield
    except kinds as error:
        raise Failed(str(error) or type(error).__name__) from error


def quiet_libraries() -> None:
    """Keep progress bars and usage reports of libraries out of our output."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's migrations of a new database write a line each.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
