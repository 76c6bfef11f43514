"""Ticks of schedules and sensors, counted from the start of the exporter.

Dagster purges old ticks: a count over those that are left would fall at a restart, and
Prometheus takes a fall for a counter that began at 0 and rose to it.
"""

import time
from collections.abc import Iterator

from dagster import DagsterInstance
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    TickStatus,
)
from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)

ENDS = {
    TickStatus.SUCCESS: "success",
    TickStatus.SKIPPED: "skipped",
    TickStatus.FAILURE: "failure",
}
# A tick that has been in progress for longer ended with its daemon.
IN_PROGRESS_SECONDS = 3_600.0


class TickCursor:
    """Which ticks of one schedule or sensor were counted.

    Attributes
    ----------
    after : float
        All ticks up to this time were counted.
    """

    def __init__(self, after: float) -> None:
        self.after = after
        self._counted: dict[int, float] = {}

    def new(self, ticks: list[InstigatorTick], now: float) -> list[InstigatorTick]:
        """Those of `ticks` that ended and were not counted yet."""
        found = [
            tick
            for tick in ticks
            if tick.status in ENDS and tick.tick_id not in self._counted
        ]
        self._counted |= {tick.tick_id: tick.timestamp for tick in found}
        in_progress = [
            tick.timestamp
            for tick in ticks
            if tick.status not in ENDS and tick.timestamp > now - IN_PROGRESS_SECONDS
        ]
        newest = max((tick.timestamp for tick in ticks), default=self.after)
        # The oldest one itself is queried again.
        self.after = max(self.after, min([*in_progress, newest]) - 1.0)
        self._counted = {
            id_: at for id_, at in self._counted.items() if at > self.after
        }
        return found


class TickMetrics:
    """Ticks of schedules and sensors, and which of these are switched on."""

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("type", "name", "status")
        self._began = time.time()
        self._cursors: dict[str, TickCursor] = {}
        self._ticks = CounterFamily(
            "ml_assets_dagster_ticks_total",
            "Ticks of schedules and sensors since the start of the exporter.",
            labels,
            folded,
        )
        self._last = GaugeFamily(
            "ml_assets_dagster_tick_last_timestamp_seconds",
            "When a tick last ended with this status.",
            labels,
        )
        self._running = _running()

    def update(self, instance: DagsterInstance) -> None:
        """Count the ticks that ended since the last update."""
        self._running = _running()
        for state in instance.all_instigator_state():
            type_, name = state.instigator_type.value.lower(), state.instigator_name
            self._running.set(type_, name, value=float(state.is_running))
            cursor = self._cursors.get(state.selector_id)
            if cursor is None:
                cursor = self._cursors[state.selector_id] = TickCursor(self._began)
                self._read_last(instance, state, type_)
            ids = (state.instigator_origin_id, state.selector_id)
            ticks = list(instance.get_ticks(*ids, after=cursor.after))
            for tick in cursor.new(ticks, time.time()):
                status = ENDS[tick.status]
                self._ticks.add(type_, name, status)
                self._last.raise_to(type_, name, status, value=tick.timestamp)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._ticks, self._last, self._running):
            yield family.metric()

    def _read_last(
        self, instance: DagsterInstance, state: InstigatorState, type_: str
    ) -> None:
        """Set when each status last occurred, and let its counter begin at 0."""
        ids = (state.instigator_origin_id, state.selector_id)
        for status, name in ENDS.items():
            self._ticks.add(type_, state.instigator_name, name, n=0)
            for tick in instance.get_ticks(*ids, limit=1, statuses=[status]):
                self._last.raise_to(
                    type_, state.instigator_name, name, value=tick.timestamp
                )


def _running() -> GaugeFamily:
    """A new family at each update, so that schedules that were removed are gone."""
    return GaugeFamily(
        "ml_assets_dagster_instigator_running",
        "1 if a schedule or sensor is switched on.",
        ("type", "name"),
    )
