"""Printing the demonstration: numbered steps, and lines with a label."""

from collections.abc import Iterable

from ml_assets.cli.console import echo
from ml_assets.cli.run_report import print_line as line

__all__ = ["line", "lines", "step", "title"]


def title(text: str) -> None:
    """Print the heading of a part."""
    echo((text, "bold"))


def step(number: int, text: str) -> None:
    """Print the heading of a step."""
    echo("\n", (f"{number:<2} {text}", "bold cyan"))


def lines(label: str, texts: Iterable[str]) -> None:
    """Print several lines, of which the first bears the label."""
    for text in texts:
        line(label, text)
        label = ""
