"""Ticks of schedules and sensors, counted from the start of the exporter.

Dagster purges old ticks: a count over what is kept would fall at a restart, and a fall
looks like a counter that began anew and rose to it.
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

from ml_assets.observability.exporter.families import Counts, Folded, Gauges

ENDS = {
    TickStatus.SUCCESS: "success",
    TickStatus.SKIPPED: "skipped",
    TickStatus.FAILURE: "failure",
}
# A tick that is under way for longer died with its daemon.
PATIENCE_SECONDS = 3_600.0


class Progress:
    """Which ticks of one schedule or sensor were counted.

    Attributes
    ----------
    after : float
        Ticks up to this moment are done with.
    """

    def __init__(self, after: float) -> None:
        self.after = after
        self._counted: dict[int, float] = {}

    def new(self, ticks: list[InstigatorTick], now: float) -> list[InstigatorTick]:
        """Those that ended and were not counted."""
        found = [
            tick
            for tick in ticks
            if tick.status in ENDS and tick.tick_id not in self._counted
        ]
        self._counted |= {tick.tick_id: tick.timestamp for tick in found}
        under_way = [
            tick.timestamp
            for tick in ticks
            if tick.status not in ENDS and tick.timestamp > now - PATIENCE_SECONDS
        ]
        newest = max((tick.timestamp for tick in ticks), default=self.after)
        # The moment of the oldest one itself is asked for again.
        self.after = max(self.after, min([*under_way, newest]) - 1.0)
        self._counted = {
            id_: at for id_, at in self._counted.items() if at > self.after
        }
        return found


class TickMetrics:
    """What the instance says of schedules and sensors."""

    def __init__(self, folded: Folded) -> None:
        labels = ("type", "name", "status")
        self._began = time.time()
        self._folded = folded
        self._progress: dict[str, Progress] = {}
        self._ticks = Counts(
            "ml_assets_dagster_ticks_total",
            "Ticks of schedules and sensors since the start of the exporter.",
            labels,
            folded,
        )
        self._last = Gauges(
            "ml_assets_dagster_tick_last_timestamp_seconds",
            "The last tick that ended so.",
            labels,
        )
        self._running = self._switches()

    def look(self, instance: DagsterInstance) -> None:
        """Count what ended since the last look."""
        self._running = self._switches()
        for state in instance.all_instigator_state():
            type_, name = state.instigator_type.value.lower(), state.instigator_name
            self._running.set(type_, name, value=float(state.is_running))
            known = self._progress.get(state.selector_id)
            if known is None:
                known = self._progress[state.selector_id] = Progress(self._began)
                self._take_last(instance, state, type_)
            ids = (state.instigator_origin_id, state.selector_id)
            ticks = list(instance.get_ticks(*ids, after=known.after))
            for tick in known.new(ticks, time.time()):
                status = ENDS[tick.status]
                self._ticks.add(type_, name, status)
                self._last.raise_to(type_, name, status, value=tick.timestamp)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for table in (self._ticks, self._last, self._running):
            yield table.metric()

    def _switches(self) -> Gauges:
        """A new table, so that what was removed is gone."""
        return Gauges(
            "ml_assets_dagster_instigator_running",
            "1 if a schedule or sensor is switched on.",
            ("type", "name"),
        )

    def _take_last(
        self, instance: DagsterInstance, state: InstigatorState, type_: str
    ) -> None:
        """The last tick of each status, and a count for each."""
        ids = (state.instigator_origin_id, state.selector_id)
        for status, name in ENDS.items():
            self._ticks.add(type_, state.instigator_name, name, n=0)
            for tick in instance.get_ticks(*ids, limit=1, statuses=[status]):
                self._last.raise_to(
                    type_, state.instigator_name, name, value=tick.timestamp
                )
