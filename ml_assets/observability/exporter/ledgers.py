"""Ledger entries: deployments, rollbacks, refusals, holds and releases."""

import datetime as dt
import threading
from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from ml_assets.observability.exporter.ledger_tails import (
    VERIFY_SECONDS,
    LedgerTails,
    Tail,
)
from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE

DEPLOYMENTS = ("deployment", "promotion", "experiment")
TRIGGERS = ("automatic", "manual")
ENVIRONMENTS = ("staging", "production")
OUTCOMES = ("success", "failure", "refused")
# What `who` of an automatic entry begins with.
AUTOMATIC = ("sensor ", "schedule ")


class LedgerMetrics:
    """The families of ledgers; each entry is counted when it is read.

    Parameters
    ----------
    folded
    verify_seconds : float
        Each ledger is verified as a whole at least so often.
    """

    def __init__(
        self, folded: FoldedSeries, verify_seconds: float = VERIFY_SECONDS
    ) -> None:
        self._ledgers = LedgerTails(verify_seconds)
        self._models, self._releases = ModelCounts(folded), ReleaseCounts(folded)

    def metrics(self, models: Sequence[str], stop: threading.Event) -> Iterator[Metric]:
        """Read what is new; the families."""
        for model, entries in self._ledgers.poll(stop):
            if model == RELEASE:
                self._releases.add(entries)
            else:
                self._models.add(model, entries)
        yield from self._models.metrics(models)
        yield from self._state(models)
        yield from self._releases.metrics()

    def _state(self, models: Sequence[str]) -> Iterator[Metric]:
        on_hold = GaugeFamily(
            "ml_assets_versions_on_hold", "Versions that are on hold.", ("model",)
        )
        intact = GaugeFamily(
            "ml_assets_ledger_intact", "1 if the hash chain verifies.", ("model",)
        )
        number = GaugeFamily(
            "ml_assets_ledger_entries", "Entries that can be read.", ("model",)
        )
        verified = GaugeFamily(
            "ml_assets_ledger_verified_timestamp_seconds",
            "When the whole of a ledger was last verified.",
            ("model",),
        )
        for model in (*models, RELEASE):
            tail = self._ledgers.tails.get(model, Tail())
            intact.set(model, value=float(tail.is_intact))
            number.set(model, value=tail.entries)
            if tail.verified_at:
                verified.set(model, value=tail.verified_at)
            if model != RELEASE:
                on_hold.set(model, value=len(tail.held))
        for family in (on_hold, intact, number, verified):
            yield family.metric()


class ModelCounts:
    """Decisions on models."""

    def __init__(self, folded: FoldedSeries) -> None:
        self._deployments = _counter(
            folded, "deployments_total", "Plans that were activated.", "model", "kind"
        )
        self._rollbacks = _counter(
            folded,
            "rollbacks_total",
            "Rollbacks to an earlier version.",
            "model",
            "trigger",
        )
        self._refusals = _counter(
            folded,
            "refusals_total",
            "Deployments that were refused, or did not roll out.",
            "model",
        )

    def add(self, model: str, entries: Sequence[Entry]) -> None:
        """Count new entries."""
        for entry in entries:
            if entry.kind in DEPLOYMENTS:
                self._deployments.add(model, entry.kind)
            elif entry.kind == "rollback":
                self._rollbacks.add(model, trigger_of(entry))
            elif entry.kind == "refusal":
                self._refusals.add(model)

    def metrics(self, models: Sequence[str]) -> Iterator[Metric]:
        """The families."""
        for model in models:
            # A series that appears with 1 would not be seen to rise.
            self._refusals.add(model, n=0)
            for kind in DEPLOYMENTS:
                self._deployments.add(model, kind, n=0)
            for trigger in TRIGGERS:
                self._rollbacks.add(model, trigger, n=0)
        for family in (self._deployments, self._rollbacks, self._refusals):
            yield family.metric()


class ReleaseCounts:
    """Releases of the platform itself."""

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("environment", "outcome")
        self._releases = _counter(
            folded, "releases_total", "Releases by outcome.", *labels
        )
        self._rollbacks = _counter(
            folded,
            "release_rollbacks_total",
            "Rollbacks to an earlier release.",
            "environment",
            "trigger",
        )
        self._approvals = _counter(
            folded, "release_approvals_total", "Approvals for production."
        )
        self._last = GaugeFamily(
            "ml_assets_release_last_timestamp_seconds",
            "When a release last had this outcome.",
            labels,
        )
        self._approvals.add(n=0)
        for environment in ENVIRONMENTS:
            for outcome in OUTCOMES:
                self._releases.add(environment, outcome, n=0)
            for trigger in TRIGGERS:
                self._rollbacks.add(environment, trigger, n=0)

    def add(self, entries: Sequence[Entry]) -> None:
        """Count new entries."""
        for entry in entries:
            if entry.kind == "approval":
                self._approvals.add()
            elif entry.kind == "rollback":
                self._rollbacks.add(environment_of(entry), trigger_of(entry))
            elif entry.kind == "release_failure" and entry.evidence.get("returned"):
                # The run in which it failed rolled it back.
                self._rollbacks.add(environment_of(entry), "automatic")
            result = outcome_of(entry)
            if result is not None:
                environment = environment_of(entry)
                self._releases.add(environment, result)
                moment = dt.datetime.fromisoformat(entry.time).timestamp()
                self._last.raise_to(environment, result, value=moment)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._releases, self._rollbacks, self._approvals, self._last):
            yield family.metric()


def _counter(folded: FoldedSeries, name: str, text: str, *labels: str) -> CounterFamily:
    return CounterFamily(f"ml_assets_{name}", text, labels, folded)


def trigger_of(entry: Entry) -> str:
    """``automatic`` by a sensor, schedule or experiment's verdict, else ``manual``."""
    by_verdict = (entry.key or "").endswith(":roll_back")
    is_automatic = by_verdict or entry.who.startswith(AUTOMATIC)
    return "automatic" if is_automatic else "manual"


def environment_of(entry: Entry) -> str:
    """The environment of a release; production where the entry names none."""
    found = entry.evidence.get("environment", "production")
    return found if found in ENVIRONMENTS else "production"


def outcome_of(entry: Entry) -> str | None:
    """The outcome of a release; None where the entry is about something else."""
    if entry.kind in ("release_staging", "release_production"):
        return "success"
    return {"release_failure": "failure", "refusal": "refused"}.get(entry.kind)
