"""The newest drift report of each model, for each of what is compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from ml_assets.core.storage import read_json
from ml_assets.observability.exporter.families import Gauges

SOURCES = ("predictions", "raw")
# Columns of a report that are told one by one.
MOST_COLUMNS = 100


class DriftMetrics:
    """Reads ``reports/<model>/drift``; a report that is known is not read again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, dict[str, Any]] = {}

    def metrics(self, models: list[str]) -> Iterator[Metric]:
        """The families."""
        labels = ("model", "source")
        detected = Gauges(
            "ml_assets_drift_detected", "1 if the last report drifted.", labels
        )
        number = Gauges("ml_assets_drift_columns", "Columns that drifted.", labels)
        each = Gauges("ml_assets_drift_psi", "PSI of a column.", (*labels, "column"))
        most = Gauges("ml_assets_drift_max_psi", "The largest PSI.", labels)
        at = Gauges(
            "ml_assets_drift_report_timestamp_seconds",
            "When the last report was made.",
            labels,
        )
        found = {
            (model, source): path
            for model in models
            for source, path in self._newest(model)
        }
        self._read = {
            path: self._read.get(path) or read_json(path) or {}
            for path, _ in found.values()
        }
        for (model, source), (path, moment) in found.items():
            report = self._read[path]
            columns = report.get("columns", [])
            detected.set(model, source, value=float(bool(report.get("drifted"))))
            number.set(model, source, value=sum(c["drifted"] for c in columns))
            at.set(model, source, value=moment)
            columns.sort(key=lambda column: -column["psi"])
            for column in columns[:1]:
                most.set(model, source, value=column["psi"])
            for column in columns[:MOST_COLUMNS]:
                each.set(model, source, column["column"], value=column["psi"])
        for table in (detected, number, each, most, at):
            yield table.metric()

    def _newest(self, model: str) -> Iterator[tuple[str, tuple[Path, float]]]:
        """The last report on predictions and on raw data, and when it was made."""
        directory = self._root / "reports" / model / "drift"
        for source in SOURCES:
            known = [
                (path.stat().st_mtime, path)
                for path in directory.glob(f"{source}-*.json")
            ]
            if known:
                moment, path = max(known)
                yield source, (path, moment)
