"""The checks of `ml-assets doctor`: one module per part of the installation."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import click

Status = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One line of a diagnosis; `todo` is what to do, where something is to be done."""

    check: str
    status: Status
    message: str
    todo: str | None = None


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, todo: str) -> Finding:
    """Something that may be meant to be so."""
    return Finding(check, "warning", message, todo)


def problem(check: str, message: str, todo: str) -> Finding:
    """Something that stops the work."""
    return Finding(check, "problem", message, todo)


def guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A diagnosis outlives what it finds: an unforeseen error is a finding too."""
    try:
        yield from check()
    except click.UsageError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        yield problem(name, message, "the message names what cannot be used")
