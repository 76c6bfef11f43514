"""Live figures of models, as the last ``<model>/performance`` tells them."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from dagster import AssetMaterialization
from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Gauges

STAGE = "performance"
METRICS = ("accuracy", "roc_auc")


class Figures(NamedTuple):
    """What one materialization says."""

    at: float
    version: str
    given: dict[str, Any]


class LiveMetrics:
    """The newest figures of each model."""

    def __init__(self) -> None:
        self._of: dict[str, Figures] = {}

    def take(self, found: AssetMaterialization, at: float) -> None:
        """Remember what a materialization says, if it is of a model's performance."""
        path = found.asset_key.path
        if len(path) != 2 or path[1] != STAGE:
            return
        given = {name: item.value for name, item in found.metadata.items()}
        # What a person reported by hand has no figures.
        if {"version", "degraded"} <= given.keys():
            self._of[path[0]] = Figures(at, str(given["version"]), given)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        labels = ("model", "version", "metric")
        live = Gauges(
            "ml_assets_live_metric", "Figures of the champion by its labels.", labels
        )
        offline = Gauges(
            "ml_assets_live_offline_metric", "What evaluation promised.", labels
        )
        degraded = Gauges(
            "ml_assets_live_degraded", "1 if live is worse than promised.", ["model"]
        )
        joined = Gauges(
            "ml_assets_live_labels", "Labels joined to a prediction.", ["model"]
        )
        moment = Gauges(
            "ml_assets_live_timestamp_seconds", "When this was computed.", ["model"]
        )
        for model, found in self._of.items():
            for name in METRICS:
                for table, key in ((live, name), (offline, f"offline_{name}")):
                    value = found.given.get(key)
                    if isinstance(value, int | float) and not math.isnan(value):
                        table.set(model, found.version, name, value=float(value))
            degraded.set(model, value=float(bool(found.given["degraded"])))
            joined.set(model, value=float(found.given.get("joined", 0)))
            moment.set(model, value=found.at)
        for table in (live, offline, degraded, joined, moment):
            yield table.metric()
