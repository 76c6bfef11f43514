"""Ledger entries: deployments, rollbacks, refusals, holds and releases."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger, active_holds

DEPLOYMENTS = ("deployment", "promotion", "experiment")
TRIGGERS = ("automatic", "manual")
ENVIRONMENTS = ("staging", "production")
OUTCOMES = ("success", "failure", "refused")
# What `who` of an automatic entry begins with.
AUTOMATIC = ("sensor ", "schedule ")


class CachedLedger(NamedTuple):
    """A ledger as it was read, and the number and hash of its last entry then."""

    head: tuple[int, str] | None
    entries: list[Entry]
    problems: int


class LedgerMetrics:
    """Reads every ledger; one that did not change is not read again."""

    def __init__(self, folded: FoldedSeries) -> None:
        self._ledger = Ledger()
        self._folded = folded
        self._cached: dict[str, CachedLedger] = {}

    def metrics(self, models: Sequence[str]) -> Iterator[Metric]:
        """The families."""
        yield from self._of_models(models)
        yield from self._integrity(models)
        yield from self._of_releases(self._read(RELEASE).entries)

    def _of_models(self, models: Sequence[str]) -> Iterator[Metric]:
        deployments = self._counter(
            "deployments_total", "Plans that were activated.", "model", "kind"
        )
        rollbacks = self._counter(
            "rollbacks_total", "Rollbacks to an earlier version.", "model", "trigger"
        )
        refusals = self._counter(
            "refusals_total",
            "Deployments that were refused, or did not roll out.",
            "model",
        )
        on_hold = GaugeFamily(
            "ml_assets_versions_on_hold", "Versions that are on hold.", ("model",)
        )
        for model in models:
            # A series that appears with 1 would not be seen to rise.
            refusals.add(model, n=0)
            for kind in DEPLOYMENTS:
                deployments.add(model, kind, n=0)
            for trigger in TRIGGERS:
                rollbacks.add(model, trigger, n=0)
            entries = self._read(model).entries
            for entry in entries:
                if entry.kind in DEPLOYMENTS:
                    deployments.add(model, entry.kind)
                elif entry.kind == "rollback":
                    rollbacks.add(model, trigger_of(entry))
                elif entry.kind == "refusal":
                    refusals.add(model)
            on_hold.set(model, value=len(active_holds(entries)))
        for family in (deployments, rollbacks, refusals, on_hold):
            yield family.metric()

    def _integrity(self, models: Sequence[str]) -> Iterator[Metric]:
        intact = GaugeFamily(
            "ml_assets_ledger_intact", "1 if the hash chain verifies.", ("model",)
        )
        number = GaugeFamily(
            "ml_assets_ledger_entries", "Entries that can be read.", ("model",)
        )
        for model in (*models, RELEASE):
            cached = self._read(model)
            intact.set(model, value=float(not cached.problems))
            number.set(model, value=len(cached.entries))
        yield from (intact.metric(), number.metric())

    def _of_releases(self, entries: list[Entry]) -> Iterator[Metric]:
        labels = ("environment", "outcome")
        releases = self._counter("releases_total", "Releases by outcome.", *labels)
        rollbacks = self._counter(
            "release_rollbacks_total",
            "Rollbacks to an earlier release.",
            "environment",
            "trigger",
        )
        approvals = self._counter(
            "release_approvals_total", "Approvals for production."
        )
        last = GaugeFamily(
            "ml_assets_release_last_timestamp_seconds",
            "When a release last had this outcome.",
            labels,
        )
        approvals.add(n=0)
        for environment in ENVIRONMENTS:
            for outcome in OUTCOMES:
                releases.add(environment, outcome, n=0)
            for trigger in TRIGGERS:
                rollbacks.add(environment, trigger, n=0)
        for entry in entries:
            if entry.kind == "approval":
                approvals.add()
            elif entry.kind == "rollback":
                rollbacks.add(environment_of(entry), trigger_of(entry))
            elif entry.kind == "release_failure" and entry.evidence.get("returned"):
                # The run in which it failed rolled it back.
                rollbacks.add(environment_of(entry), "automatic")
            result = outcome_of(entry)
            if result is not None:
                environment = environment_of(entry)
                releases.add(environment, result)
                moment = dt.datetime.fromisoformat(entry.time).timestamp()
                last.raise_to(environment, result, value=moment)
        for family in (releases, rollbacks, approvals, last):
            yield family.metric()

    def _counter(self, name: str, text: str, *labels: str) -> CounterFamily:
        return CounterFamily(f"ml_assets_{name}", text, labels, self._folded)

    def _read(self, model: str) -> CachedLedger:
        head = self._ledger.head(model)
        cached = self._cached.get(model)
        if cached is None or cached.head != head:
            problems = len(self._ledger.verify(model))
            cached = CachedLedger(head, self._ledger.entries(model), problems)
            self._cached[model] = cached
        return cached


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
