"""How predictions are printed: a table, CSV, or one JSON document, row by row."""

import csv
import json
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

import click

from ml_assets.cli.console import echo
from ml_assets.cli.scorers import Prediction
from ml_assets.records.plan import Task

FIELDS = ("row", "label", "probability", "id")
VALUE_FIELDS = ("row", "value", "id")
INTERVAL_FIELDS = ("row", "value", "lower", "upper", "id")
REFUSED = "refused"
# Columns of a line of the table.
WIDE = 76


class Writer(Protocol):
    """Writes predictions as they come.

    It is made of the file, of whether errors are collected, and of the columns of the
    terminal that shows the file, if one does.
    """

    def start(self, model: str, version: str, task: Task, has_interval: bool) -> None:
        """Before the first row."""

    def row(self, number: int, prediction: Prediction) -> None:
        """The answer to row `number`, counted from 1."""

    def refused(self, number: int, reason: str) -> None:
        """Why there is no answer to row `number`."""

    def end(
        self, rows: int, refused: int, unseen: Mapping[str, int], error: str | None
    ) -> None:
        """After the last row; `error` is the reason where there is none.

        `unseen` counts by column the rows with a category that training did not see.
        """


class TableWriter:
    """For people."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._out = out
        # A narrow terminal would break the id, which people copy.
        self._gap = "  " if room is None or room >= WIDE else f"\n{'':>7}  "
        self._layout = ""
        self._has_interval = False

    def start(self, model: str, version: str, task: Task, has_interval: bool) -> None:
        """Name the version that answers, beside the data."""
        echo(f"{model} version {version}", err=True)
        self._layout = f"{{:>7}}  {{:<16}}  {{:>11}}{self._gap}{{}}"
        fields: tuple[str, ...] = FIELDS
        if task == "regression":
            self._layout = f"{{:>7}}  {{:>29}}{self._gap}{{}}"
            fields = VALUE_FIELDS
        if has_interval:
            self._layout = f"{{:>7}}{'  {:>14}' * 3}{self._gap}{{}}"
            fields = INTERVAL_FIELDS
        self._has_interval = has_interval
        click.echo(self._layout.format(*fields), file=self._out)

    def row(self, number: int, prediction: Prediction) -> None:
        """One line, after the header."""
        if prediction.probability is None:
            shown = [_digits(item) for item in _numbers(prediction, self._has_interval)]
        else:
            shown = [str(prediction.label), f"{prediction.probability:.6f}"]
        line = self._layout.format(number, *shown, prediction.id)
        click.echo(line, file=self._out)

    def refused(self, number: int, reason: str) -> None:
        """One line with the reason."""
        blank = [""] * (self._layout.count("{") - 3)
        line = self._layout.format(number, REFUSED, *blank, reason)
        click.echo(line, file=self._out)

    def end(
        self, rows: int, refused: int, unseen: Mapping[str, int], error: str | None
    ) -> None:
        """Nothing follows the rows."""


class CsvWriter:
    """For spreadsheets; probabilities with all their digits."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._writer = csv.writer(out, lineterminator="\n")
        self._more = ("",) if collects else ()
        self._fields: tuple[str, ...] = FIELDS

    def start(self, model: str, version: str, task: Task, has_interval: bool) -> None:
        """The header, with a column for errors where they are collected."""
        if task == "regression":
            self._fields = INTERVAL_FIELDS if has_interval else VALUE_FIELDS
        self._writer.writerow((*self._fields, *("error" for _ in self._more)))

    def row(self, number: int, prediction: Prediction) -> None:
        """One line."""
        if prediction.probability is None:
            numbers = _numbers(prediction, self._fields is INTERVAL_FIELDS)
            values = ["" if item is None else repr(item) for item in numbers]
        else:
            values = [str(prediction.label), repr(prediction.probability)]
        self._writer.writerow((number, *values, prediction.id, *self._more))

    def refused(self, number: int, reason: str) -> None:
        """One line that holds the reason only."""
        blank = [""] * (len(self._fields) - 1)
        self._writer.writerow((number, *blank, reason))

    def end(
        self, rows: int, refused: int, unseen: Mapping[str, int], error: str | None
    ) -> None:
        """Nothing follows the rows."""


class JsonWriter:
    """For programs: one document, with the reason where there are no answers."""

    def __init__(self, out: TextIO, collects: bool, room: int | None) -> None:
        self._out = out
        self._separator = ""

    def start(self, model: str, version: str, task: Task, has_interval: bool) -> None:
        """Open the document."""
        head = f'{{"model": {json.dumps(model)}, "version": {json.dumps(version)}'
        self._out.write(f'{head}, "predictions": [')

    def row(self, number: int, prediction: Prediction) -> None:
        """One object."""
        given = prediction._asdict().items()
        known = {name: value for name, value in given if value is not None}
        self._item({"row": number, **known})

    def refused(self, number: int, reason: str) -> None:
        """One object that holds the reason only."""
        self._item({"row": number, "error": reason})

    def end(
        self, rows: int, refused: int, unseen: Mapping[str, int], error: str | None
    ) -> None:
        """Close the document."""
        counts = f'"rows": {rows}, "refused": {refused}'
        if unseen:
            counts += f', "unseen": {json.dumps(unseen)}'
        self._out.write(f'\n], {counts}, "error": {json.dumps(error)}}}\n')

    def _item(self, value: dict[str, object]) -> None:
        self._out.write(f"{self._separator}\n{json.dumps(value)}")
        self._separator = ","


def _numbers(prediction: Prediction, has_interval: bool) -> list[float | None]:
    """The value, and the ends of its interval where those have columns."""
    ends = (prediction.lower, prediction.upper) if has_interval else ()
    return [prediction.value, *ends]


def _digits(number: float | None) -> str:
    # A version without an interval may follow one with it.
    return "" if number is None else f"{number:.6f}"


WRITERS: dict[str, Callable[[TextIO, bool, int | None], Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
}
