"""How the demonstration speaks: numbered acts, and lines whose label stands apart."""

from collections.abc import Iterable

import click

from ml_assets.cli.run_reporter import line


def title(text: str) -> None:
    """The first line."""
    click.echo(click.style(text, bold=True))


def act(number: int, text: str) -> None:
    """The heading of an act."""
    click.echo("\n" + click.style(f"{number:<2} {text}", fg="cyan", bold=True))


def tell(label: str, text: str) -> None:
    """One line; without a label it belongs to the line above."""
    click.echo(line(label, text))


def tell_all(label: str, texts: Iterable[str]) -> None:
    """Several lines, of which the first bears the label."""
    for text in texts:
        tell(label, text)
        label = ""
