"""Drift reports: what the newest of each model and source found."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import GaugeFamily
from ml_assets.state.drift_reports import DriftReports

# Columns of a report that have a series each, those that moved most.
MOST_COLUMNS = 100


class DriftMetrics:
    """The newest drift report of each model and source.

    A report that was read is not read again.
    """

    def __init__(self) -> None:
        self._reports = DriftReports()
        self._read: dict[tuple[str, str], dict[str, Any]] = {}

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        labels = ("model", "source")
        detected = GaugeFamily(
            "ml_assets_drift_detected", "1 if the last report found drift.", labels
        )
        number = GaugeFamily("ml_assets_drift_columns", "Columns with drift.", labels)
        each = GaugeFamily(
            "ml_assets_drift_psi", "PSI of a column.", (*labels, "column")
        )
        omitted = GaugeFamily(
            "ml_assets_drift_columns_omitted",
            "Columns of the last report whose PSI has no series.",
            labels,
        )
        most = GaugeFamily("ml_assets_drift_max_psi", "The largest PSI.", labels)
        at = GaugeFamily(
            "ml_assets_drift_report_timestamp_seconds",
            "When the last report was made.",
            labels,
        )
        newest = self._reports.newest()
        names = [(model, made.report) for (model, _), made in newest.items()]
        self._read = {
            name: self._read.get(name) or self._reports.read(*name) or {}
            for name in names
        }
        for (model, source), made in newest.items():
            report = self._read[model, made.report]
            columns = report.get("columns", [])
            detected.set(model, source, value=float(bool(report.get("drifted"))))
            number.set(model, source, value=sum(c["drifted"] for c in columns))
            at.set(model, source, value=made.made)
            columns.sort(key=lambda column: -column["psi"])
            for column in columns[:1]:
                most.set(model, source, value=column["psi"])
            omitted.set(model, source, value=max(len(columns) - MOST_COLUMNS, 0))
            for column in columns[:MOST_COLUMNS]:
                each.set(model, source, column["column"], value=column["psi"])
        for family in (detected, number, omitted, each, most, at):
            yield family.metric()
