"""Runs that have ended, sent as traces where a collector is named."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, Metric

from ml_assets.core.tracing.sampling import is_traced
from ml_assets.observability.exporter.follower import logger
from ml_assets.observability.exporter.opening import Opening

if TYPE_CHECKING:
    from ml_assets.observability.run_tracer import RunTracer


class Traces:
    """Follows the runs of an instance, and sends each when it has ended."""

    source = "traces"

    def __init__(self, opening: Opening, root: Path) -> None:
        self._opening = opening
        self._root = root
        self._tracer: RunTracer | None = None

    def look(self, stop: threading.Event) -> Sequence[Metric]:
        """Send what has ended; how many traces were taken, refused and lost."""
        tracer = self._opened()
        # More may be there than one look takes.
        while not stop.is_set() and tracer.look():
            pass
        return [
            CounterMetricFamily(f"ml_assets_traces_{name}", text, value=value)
            for name, text, value in (
                ("sent", "Runs whose trace a collector took.", tracer.told),
                ("refused", "Attempts that no collector took.", tracer.refused),
                ("lost", "Runs whose trace was given up.", tracer.lost),
            )
        ]

    def _opened(self) -> "RunTracer":
        if self._tracer is None:
            from ml_assets.core.tracing.otlp import Sender
            from ml_assets.observability.run_tracer import RunTracer

            instance = self._opening.instance()
            sender = Sender("ml-assets-runs", logger)
            self._tracer = RunTracer(instance, sender.send, self._root)
        return self._tracer


def traces(opening: Opening, root: Path) -> list[Traces]:
    """The follower, where a collector is named."""
    return [Traces(opening, root)] if is_traced() else []
