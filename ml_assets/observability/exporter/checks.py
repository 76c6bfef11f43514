"""Check results, and the gate's verdicts among them."""

from collections.abc import Iterator, Sequence

from dagster import DagsterEventType, EventLogEntry
from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Counts, Folded, Gauges

# ``<model>/evaluation`` has the check that is the gate.
STAGE, GATE = "evaluation", "gate"
VERDICTS = {True: "passed", False: "failed"}


class CheckMetrics:
    """What the event log says of checks."""

    KINDS = (DagsterEventType.ASSET_CHECK_EVALUATION,)

    def __init__(self, folded: Folded) -> None:
        labels = ("asset", "check")
        self._results = Counts(
            "ml_assets_dagster_check_results_total",
            "Results of checks.",
            (*labels, "severity", "passed"),
            folded,
        )
        self._passed = Gauges(
            "ml_assets_dagster_check_passed",
            "1 if the last result of a check was good.",
            labels,
        )
        self._last = Gauges(
            "ml_assets_dagster_check_last_timestamp_seconds",
            "When a check was last made.",
            labels,
        )
        self._verdicts = Counts(
            "ml_assets_gate_verdicts_total",
            "Versions that passed the gate of their model, and that did not.",
            ("model", "verdict"),
            folded,
        )

    def take(self, events: Sequence[EventLogEntry]) -> None:
        """Count results."""
        for event in events:
            told = event.dagster_event
            if told is None:
                continue
            found = told.asset_check_evaluation_data
            asset, check = found.asset_key.to_user_string(), found.check_name
            severity = found.severity.value.lower()
            for passed in (True, False):
                n = int(passed == found.passed)
                self._results.add(asset, check, severity, str(passed).lower(), n=n)
            last = self._last.get(asset, check)
            if last is None or event.timestamp >= last:
                self._last.set(asset, check, value=event.timestamp)
                self._passed.set(asset, check, value=float(found.passed))
            self._take_gate(found.asset_key.path, check, found.passed)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for table in (self._results, self._passed, self._last, self._verdicts):
            yield table.metric()

    def _take_gate(self, path: Sequence[str], check: str, passed: bool) -> None:
        if check == GATE and len(path) == 2 and path[1] == STAGE:
            for verdict, name in VERDICTS.items():
                self._verdicts.add(path[0], name, n=int(verdict == passed))
