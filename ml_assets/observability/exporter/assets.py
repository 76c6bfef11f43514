"""Materializations: how many, when, how much; and live figures of models."""

from collections.abc import Iterator, Sequence
from typing import Any

from dagster import AssetMaterialization, DagsterEventType, EventLogEntry
from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Counts, Folded, Gauges
from ml_assets.observability.exporter.live import LiveMetrics

ROWS, BYTES = "dagster/row_count", "size_bytes"


class AssetMetrics:
    """What the event log says of assets."""

    KINDS = (DagsterEventType.ASSET_MATERIALIZATION,)

    def __init__(self, folded: Folded) -> None:
        labels = ("asset",)
        self._count = Counts(
            "ml_assets_dagster_materializations_total",
            "Materializations.",
            labels,
            folded,
        )
        self._last = Gauges(
            "ml_assets_dagster_asset_last_materialization_timestamp_seconds",
            "When an asset was last materialized.",
            labels,
        )
        self._rows = Gauges(
            "ml_assets_dagster_asset_rows",
            "Rows of the last materialization.",
            labels,
        )
        self._bytes = Gauges(
            "ml_assets_dagster_asset_bytes",
            "Bytes of the last materialization.",
            labels,
        )
        self._live = LiveMetrics()

    def take(self, events: Sequence[EventLogEntry]) -> None:
        """Count materializations."""
        for event in events:
            found = event.asset_materialization
            if found is None:
                continue
            asset = found.asset_key.to_user_string()
            self._count.add(asset)
            last = self._last.get(asset)
            if last is not None and event.timestamp < last:
                continue
            self._last.set(asset, value=event.timestamp)
            given = numbers(found)
            for name, table in ((ROWS, self._rows), (BYTES, self._bytes)):
                if name in given:
                    table.set(asset, value=given[name])
            self._live.take(found, event.timestamp)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for table in (self._count, self._last, self._rows, self._bytes):
            yield table.metric()
        yield from self._live.metrics()


def numbers(found: AssetMaterialization) -> dict[str, float]:
    """The numbers among the metadata of a materialization."""
    values: dict[str, Any] = {name: item.value for name, item in found.metadata.items()}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float)
    }
