"""What was decided: deployments, rollbacks, refusals, holds and releases."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Counts, Folded, Gauges
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger, active_holds

DEPLOYMENTS = ("deployment", "promotion", "experiment")
TRIGGERS = ("automatic", "manual")
ENVIRONMENTS = ("staging", "production")
OUTCOMES = ("success", "failure", "refused")
# How the ledger names who acts by itself.
MACHINES = ("sensor ", "schedule ")


class Known(NamedTuple):
    """A ledger as it was read, and by which one sees that it changed."""

    stamp: tuple[tuple[int, int] | None, ...]
    entries: list[Entry]
    problems: int


class LedgerMetrics:
    """Reads the ledgers under `root`; one that did not change is not read again."""

    def __init__(self, root: Path, folded: Folded) -> None:
        self._ledger = Ledger(root)
        self._folded = folded
        self._known: dict[str, Known] = {}

    def metrics(self, models: Sequence[str]) -> Iterator[Metric]:
        """The families."""
        yield from self._of_models(models)
        yield from self._integrity(models)
        yield from self._of_releases(self._read(RELEASE).entries)

    def _of_models(self, models: Sequence[str]) -> Iterator[Metric]:
        deployments = self._counts(
            "deployments_total", "Plans that were activated.", "model", "kind"
        )
        rollbacks = self._counts(
            "rollbacks_total", "Returns to a version of before.", "model", "trigger"
        )
        refusals = self._counts(
            "refusals_total", "Deployments that were refused or failed.", "model"
        )
        on_hold = Gauges(
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
        for table in (deployments, rollbacks, refusals, on_hold):
            yield table.metric()

    def _integrity(self, models: Sequence[str]) -> Iterator[Metric]:
        intact = Gauges(
            "ml_assets_ledger_intact", "1 if the hash chain verifies.", ("model",)
        )
        number = Gauges(
            "ml_assets_ledger_entries", "Entries that can be read.", ("model",)
        )
        for model in (*models, RELEASE):
            known = self._read(model)
            intact.set(model, value=float(not known.problems))
            number.set(model, value=len(known.entries))
        yield from (intact.metric(), number.metric())

    def _of_releases(self, entries: list[Entry]) -> Iterator[Metric]:
        labels = ("environment", "outcome")
        releases = self._counts("releases_total", "Releases by outcome.", *labels)
        rollbacks = self._counts(
            "release_rollbacks_total",
            "Returns to a release of before.",
            "environment",
            "trigger",
        )
        approvals = self._counts("release_approvals_total", "Approvals for production.")
        last = Gauges(
            "ml_assets_release_last_timestamp_seconds", "The last of each.", labels
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
                # What had failed was taken back by the run that saw it.
                rollbacks.add(environment_of(entry), "automatic")
            became = outcome_of(entry)
            if became is not None:
                environment = environment_of(entry)
                releases.add(environment, became)
                moment = dt.datetime.fromisoformat(entry.time).timestamp()
                last.raise_to(environment, became, value=moment)
        for table in (releases, rollbacks, approvals, last):
            yield table.metric()

    def _counts(self, name: str, text: str, *labels: str) -> Counts:
        return Counts(f"ml_assets_{name}", text, labels, self._folded)

    def _read(self, model: str) -> Known:
        path = self._ledger.path(model)
        # An entry is written before the head: another stamp means another look.
        stamp = (_stamp(path), _stamp(path.with_suffix(".head.json")))
        known = self._known.get(model)
        if known is None or known.stamp != stamp:
            problems = len(self._ledger.verify(model))
            known = Known(stamp, self._ledger.entries(model), problems)
            self._known[model] = known
        return known


def trigger_of(entry: Entry) -> str:
    """Whether a person asked for it, or a sensor, a schedule or a verdict."""
    by_verdict = (entry.key or "").endswith(":roll_back")
    by_itself = by_verdict or entry.who.startswith(MACHINES)
    return "automatic" if by_itself else "manual"


def environment_of(entry: Entry) -> str:
    """Where a release went; production where the entry does not say."""
    told = entry.evidence.get("environment", "production")
    return told if told in ENVIRONMENTS else "production"


def outcome_of(entry: Entry) -> str | None:
    """What became of a release; None where the entry tells of something else."""
    if entry.kind in ("release_staging", "release_production"):
        return "success"
    return {"release_failure": "failure", "refusal": "refused"}.get(entry.kind)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
