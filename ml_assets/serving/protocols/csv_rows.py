"""Rows as CSV, as MLflow's clients may send them."""

import csv
import io
from typing import Any

from ml_assets.core.canonical import as_boolean
from ml_assets.records.plan import Column
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import check_size, shown


def csv_rows(decoder: RowDecoder, body: bytes) -> Batch:
    """The rows of a CSV in UTF-8, whose first line names the columns in any order.

    An empty cell is a missing value.

    Raises
    ------
    Problem
        400 if it is no CSV; 413 for too many rows; 422 if a row does not fit.
    """
    names, *lines = _lines(body)
    for at, name in enumerate(names):
        if name in names[:at]:
            detail = f"the column {shown(name)} stands twice"
            raise Problem(422, "invalid-request", detail)
    check_size(len(lines), decoder.max_rows)
    for number, line in enumerate(lines):
        if len(line) != len(names):
            expected = f"{len(names)} cells, as the first line has"
            error = FieldError(row=number, expected=expected, found=str(len(line)))
            raise invalid([error])
    kinds = {column.name: column for column in decoder.signature.columns}
    columns = {
        name: [_value(kinds.get(name), line[at]) for line in lines]
        for at, name in enumerate(names)
    }
    return decoder.check_columns(columns)


def _lines(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 at byte {error.start}"
        raise Problem(400, "malformed-csv", detail) from error
    except csv.Error as error:
        raise Problem(400, "malformed-csv", f"the body is no CSV: {error}") from error
    if not lines:
        raise Problem(400, "malformed-csv", "the body is empty")
    return lines


def _value(column: Column | None, cell: str) -> Any:
    """A cell as JSON would have it; its text where it is not of the column's kind."""
    if not cell:
        return None
    if column is None or column.kind == "string":
        return cell
    if column.kind == "boolean":
        return cell if as_boolean(cell) is None else as_boolean(cell)
    try:
        return int(cell) if cell.lstrip("+-").isdigit() else float(cell)
    except ValueError:
        return cell
