"""Printing the demonstration: numbered steps, and lines with a label."""

from collections.abc import Iterable

from ml_assets.cli.console import echo, item
from ml_assets.cli.run_report import WIDTH
from ml_assets.cli.run_report import print_line as line

__all__ = ["line", "lines", "step", "title"]


def title(text: str) -> None:
    """Print the heading of a part."""
    echo((text, "bold"))


def step(number: int, text: str) -> None:
    """Print the heading of a step."""
    echo("\n", (f"{number:<2} {text}", "bold cyan"))


def lines(label: str, texts: Iterable[str]) -> None:
    """Print lines, indented as they are, of which the first bears the label."""
    for text in texts:
        indent = len(text) - len(text.lstrip())
        item((label, "bold"), text.lstrip(), width=WIDTH, indent=2 + indent)
        label = ""
