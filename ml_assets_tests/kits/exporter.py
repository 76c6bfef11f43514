"""Real runs in a Dagster instance, and the samples of a source or of a scrape."""

import threading
from collections.abc import Iterable
from typing import Any

import dagster as dg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ml_assets.observability.exporter.polling import Source

RAW = dg.AssetKey(["census", "raw"])
EVALUATION = dg.AssetKey(["census", "evaluation"])
PERFORMANCE = dg.AssetKey(["census", "performance"])


@dg.asset(key=RAW)
def raw() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"dagster/row_count": 7, "size_bytes": 99})


@dg.asset(key=PERFORMANCE)
def performance() -> dg.MaterializeResult:
    live = {"accuracy": 0.7, "offline_accuracy": 0.86, "joined": 40}
    return dg.MaterializeResult(
        metadata={"version": "20261123T020000Z", "degraded": True, **live}
    )


@dg.asset(key=EVALUATION, check_specs=[dg.AssetCheckSpec("gate", asset=EVALUATION)])
def evaluation() -> dg.MaterializeResult:
    verdict = dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, check_name="gate"
    )
    return dg.MaterializeResult(check_results=[verdict])


@dg.asset
def broken() -> None:
    raise ValueError("on purpose")


def run(instance: dg.DagsterInstance, job: str, *assets: Any) -> str:
    """Execute a job of these assets; the id of its run."""
    defined = dg.define_asset_job(job, selection=[*assets])
    found = dg.Definitions(assets=[*assets], jobs=[defined]).resolve_job_def(job)
    done = found.execute_in_process(instance=instance, raise_on_error=False)
    return done.run_id


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """Every sample of a scrape."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def polled(source: Source) -> Samples:
    """The samples of one poll."""
    return parsed(text_of(source.poll(threading.Event())))


def text_of(metrics: Iterable[Any]) -> str:
    """The exposition of some families."""

    class Fixed:
        def collect(self) -> Iterable[Any]:
            return metrics

    registry = CollectorRegistry()
    registry.register(Fixed())
    return generate_latest(registry).decode()


def value(found: Samples, name: str, **labels: str) -> float | None:
    """One sample; None where there is none."""
    return found.get((name, frozenset(labels.items())))
