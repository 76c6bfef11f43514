"""Drift reports: objects of the storage, and a row of each by which it is found."""

import json
import time
from typing import Any, NamedTuple

from sqlalchemy import func, select

from ml_assets.core.storage import storage
from ml_assets.state.engine import writing
from ml_assets.state.rows import (
    delete_rows,
    fields,
    matching,
    read_row,
    read_rows,
    read_value,
    read_values,
)
from ml_assets.state.schema import drift_reports


class Made(NamedTuple):
    """The id of a report, and when it was made, in Unix seconds."""

    report: str
    made: float


def object_name(model: str, report: str) -> str:
    """A report in the storage."""
    return f"reports/{model}/drift/{report}.json"


class DriftReports:
    """The drift reports of every model."""

    def add(
        self, model: str, report: str, source: str, version: str, value: Any
    ) -> bool:
        """Keep a report once; False where it was kept before.

        Parameters
        ----------
        source : str
            What was compared: ``predictions`` or ``raw``.
        version : str
            Whose data it was compared with.
        value : dict
            The report, as JSON knows it.
        """
        data = json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"
        # Before the row. What was left by one that died here is as good.
        storage().create(object_name(model, report), data)
        row = {"source": source, "version": version, "made": time.time()}
        with writing(model) as connection:
            if connection.scalar(_one(model, report)) is not None:
                return False
            new = drift_reports.insert().values(model=model, report=report, **row)
            connection.execute(new)
        return True

    def has(self, model: str, report: str) -> bool:
        """Whether the report was made."""
        return read_value(_one(model, report)) is not None

    def latest(
        self, model: str, source: str, version: str | None = None
    ) -> Made | None:
        """The newest report of a source, on `version` where it is given."""
        named = {} if version is None else {"version": version}
        wanted = _made(model=model, source=source, **named)
        row = read_row(wanted.order_by(drift_reports.c.made.desc()).limit(1))
        return None if row is None else Made(*row)

    def newest(self) -> dict[tuple[str, str], Made]:
        """The newest report of each model and source."""
        made = drift_reports.c.made
        by = (drift_reports.c.model, drift_reports.c.source)
        last = select(*by, func.max(made).label("made")).group_by(*by).subquery()
        wanted = select(*by, drift_reports.c.report, made).join(
            last,
            (by[0] == last.c.model) & (by[1] == last.c.source) & (made == last.c.made),
        )
        return {(row[0], row[1]): Made(row[2], row[3]) for row in read_rows(wanted)}

    def since(self, model: str, source: str, moment: float) -> list[str]:
        """Reports of a source that were made at or after Unix second `moment`."""
        made = drift_reports.c.made
        wanted = _made(model=model, source=source).where(made >= moment)
        return read_values(wanted.order_by(made))

    def read(self, model: str, report: str) -> dict[str, Any] | None:
        """The report with that id; None where it was removed."""
        data = storage().get(object_name(model, report))
        return None if data is None else json.loads(data)

    def remove(self, model: str, report: str) -> None:
        """Forget a report and remove its object."""
        delete_rows(model, drift_reports, model=model, report=report)
        storage().remove([object_name(model, report)])


def _made(**values: str) -> Any:
    return fields(drift_reports, Made).where(matching(drift_reports, **values))


def _one(model: str, report: str) -> Any:
    return _made(model=model, report=report)
