"""How predictions are printed: a table, CSV, or one JSON document, row by row."""

import csv
import json
from collections.abc import Callable
from typing import Protocol, TextIO

import click

from ml_assets.cli.console import echo
from ml_assets.cli.scorers import Prediction

FIELDS = ("row", "label", "probability", "id")
REFUSED = "refused"
# Columns of a line of the table.
WIDE = 76


class Writer(Protocol):
    """Writes predictions as they come.

    It is made of the file, of whether errors are collected, and of the columns of the
    terminal that shows the file, if one does.
    """

    def start(self, model: str, version: str) -> None:
        """Before the first row."""

    def row(self, number: int, prediction: Prediction) -> None:
        """The answer to row `number`, counted from 1."""

    def refused(self, number: int, reason: str) -> None:
        """Why there is no answer to row `number`."""

    def end(self, rows: int, refused: int, error: str | None) -> None:
        """After the last row; `error` is the reason where there is none."""


class TableWriter:
    """For people."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._out = out
        # A narrow terminal would break the id, which people copy.
        gap = "  " if room is None or room >= WIDE else f"\n{'':>7}  "
        self._layout = f"{{:>7}}  {{:<16}}  {{:>11}}{gap}{{}}"

    def start(self, model: str, version: str) -> None:
        """Name the version that answers, beside the data."""
        echo(f"{model} version {version}", err=True)
        click.echo(self._layout.format(*FIELDS), file=self._out)

    def row(self, number: int, prediction: Prediction) -> None:
        """One line, after the header."""
        shown = f"{prediction.probability:.6f}"
        label = str(prediction.label)
        line = self._layout.format(number, label, shown, prediction.id)
        click.echo(line, file=self._out)

    def refused(self, number: int, reason: str) -> None:
        """One line with the reason."""
        line = self._layout.format(number, REFUSED, "", reason)
        click.echo(line, file=self._out)

    def end(self, rows: int, refused: int, error: str | None) -> None:
        """Nothing follows the rows."""


class CsvWriter:
    """For spreadsheets; probabilities with all their digits."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._writer = csv.writer(out, lineterminator="\n")
        self._more = ("",) if collects else ()

    def start(self, model: str, version: str) -> None:
        """The header, with a column for errors where they are collected."""
        self._writer.writerow((*FIELDS, *("error" for _ in self._more)))

    def row(self, number: int, prediction: Prediction) -> None:
        """One line."""
        values = (prediction.label, repr(prediction.probability), prediction.id)
        self._writer.writerow((number, *values, *self._more))

    def refused(self, number: int, reason: str) -> None:
        """One line that holds the reason only."""
        self._writer.writerow((number, "", "", "", reason))

    def end(self, rows: int, refused: int, error: str | None) -> None:
        """Nothing follows the rows."""


class JsonWriter:
    """For programs: one document, with the reason where there are no answers."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._out = out
        self._separator = ""

    def start(self, model: str, version: str) -> None:
        """Open the document."""
        head = f'{{"model": {json.dumps(model)}, "version": {json.dumps(version)}'
        self._out.write(f'{head}, "predictions": [')

    def row(self, number: int, prediction: Prediction) -> None:
        """One object."""
        self._item({"row": number, **prediction._asdict()})

    def refused(self, number: int, reason: str) -> None:
        """One object that holds the reason only."""
        self._item({"row": number, "error": reason})

    def end(self, rows: int, refused: int, error: str | None) -> None:
        """Close the document."""
        counts = f'"rows": {rows}, "refused": {refused}'
        self._out.write(f'\n], {counts}, "error": {json.dumps(error)}}}\n')

    def _item(self, value: dict[str, object]) -> None:
        self._out.write(f"{self._separator}\n{json.dumps(value)}")
        self._separator = ","


WRITERS: dict[str, Callable[[TextIO, bool, int | None], Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
}
