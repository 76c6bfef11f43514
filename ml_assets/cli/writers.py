"""How predictions are printed: a table, CSV, or one JSON document, row by row."""

import csv
import json
import sys
from collections.abc import Callable
from typing import Protocol

import click

from ml_assets.cli.scorers import Prediction

FIELDS = ("row", "label", "probability", "id")


class Writer(Protocol):
    """Prints predictions as they come."""

    def start(self, model: str, version: str) -> None:
        """Before the first row."""

    def row(self, number: int, prediction: Prediction) -> None:
        """The answer to row `number`, counted from 1."""

    def end(self, rows: int, error: str | None) -> None:
        """After the last row; `error` says why it is not the last of the file."""


class TableWriter:
    """For people."""

    _layout = "{:>7}  {:<16}  {:>11}  {}"

    def start(self, model: str, version: str) -> None:
        """Say what answers, beside the data."""
        click.echo(f"{model} version {version}", err=True)

    def row(self, number: int, prediction: Prediction) -> None:
        """One line, after the header."""
        if number == 1:
            click.echo(click.style(self._layout.format(*FIELDS), bold=True))
        shown = f"{prediction.probability:.6f}"
        label = str(prediction.label)
        click.echo(self._layout.format(number, label, shown, prediction.id))

    def end(self, rows: int, error: str | None) -> None:
        """How many there were."""
        if rows:
            click.echo(f"{rows:,} predictions", err=True)


class CsvWriter:
    """For spreadsheets; probabilities with all their digits."""

    def start(self, model: str, version: str) -> None:
        """The header."""
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(FIELDS)

    def row(self, number: int, prediction: Prediction) -> None:
        """One line."""
        probability = repr(prediction.probability)
        self._writer.writerow((number, prediction.label, probability, prediction.id))

    def end(self, rows: int, error: str | None) -> None:
        """Nothing follows the rows."""


class JsonWriter:
    """For programs: one document, written as it grows and closed on failure too."""

    def start(self, model: str, version: str) -> None:
        """Open the document."""
        head = f'{{"model": {json.dumps(model)}, "version": {json.dumps(version)}'
        click.echo(f'{head}, "predictions": [', nl=False)

    def row(self, number: int, prediction: Prediction) -> None:
        """One object."""
        value = {"row": number, **prediction._asdict()}
        click.echo(("" if number == 1 else ",") + "\n" + json.dumps(value), nl=False)

    def end(self, rows: int, error: str | None) -> None:
        """Close the document."""
        click.echo(f'\n], "rows": {rows}, "error": {json.dumps(error)}}}')


WRITERS: dict[str, Callable[[], Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
}
