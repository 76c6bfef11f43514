"""The last validation of each raw table: a row, and an object with its findings.

``reports/<model>/validation/<data version>-<digest>.json`` is written once; where the
same data is checked again and something else is found, the row names another object.
"""

import hashlib
import json
from typing import Any

from sqlalchemy import select

from ml_assets.core.storage import storage
from ml_assets.state.engine import writing
from ml_assets.state.rows import delete_rows, matching, read_row, replace
from ml_assets.state.schema import validations


def validation_prefix(model: str) -> str:
    """Where the reports of a model are in the storage."""
    return f"reports/{model}/validation"


def data_version_of(name: str) -> str:
    """The data version that a report is about, by the name of its object."""
    return name.rpartition("/")[2].removesuffix(".json").partition("-")[0]


class Validations:
    """The last validation of each raw table of every model."""

    def save(self, model: str, data_version: str, report: dict[str, Any]) -> str:
        """Keep a report of `quality.build_report`; the name of its object."""
        data = json.dumps(report, indent=2, sort_keys=True).encode() + b"\n"
        digest = hashlib.sha256(data).hexdigest()[:12]
        name = f"{validation_prefix(model)}/{data_version}-{digest}.json"
        with writing(model) as connection:
            # Inside, because `remove` may be at the same object.
            storage().create(name, data)
            key = {"model": model, "data_version": data_version}
            passed = bool(report["summary"]["passed"])
            replace(connection, validations, **key, report=name, passed=passed)
        return name

    def failed(self, model: str, data_version: str) -> str | None:
        """The report by which a table failed; None where it passed, or has none."""
        row = _row(model, data_version)
        return None if row is None or row.passed else str(row.report)

    def report(self, model: str, data_version: str) -> dict[str, Any] | None:
        """The findings on a raw table; None where it was not validated."""
        row = _row(model, data_version)
        data = None if row is None else storage().get(row.report)
        return None if data is None else json.loads(data)

    def remove(self, model: str, name: str) -> None:
        """Remove a report, after the row that names it."""
        key = {"model": model, "data_version": data_version_of(name)}
        same = matching(validations, **key, report=name)
        delete_rows(model, validations, **key, report=name)
        with writing(model) as connection:
            if connection.scalar(select(validations.c.report).where(same)) is None:
                storage().remove([name])


def _row(model: str, data_version: str) -> Any:
    same = matching(validations, model=model, data_version=data_version)
    return read_row(select(validations).where(same))
