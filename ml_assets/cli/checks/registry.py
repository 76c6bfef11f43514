"""The model registry, and whether it agrees with the plans."""

import datetime as dt
from collections.abc import Iterator
from functools import partial

from ml_assets.cli.checks import Finding, guarded, ok, problem, warning
from ml_assets.core.digests import BundleError
from ml_assets.core.storage import storage
from ml_assets.serving.models.bundle_cache import fetch
from ml_assets.state.plans import Plans
from ml_assets.state.registry import CHAMPION, Registry, tracking_uri
from ml_assets.state.versions import UnknownVersionError, Versions

# MLflow's default experiment, which exists in every store.
DEFAULT_EXPERIMENT = "0"


def check() -> Iterator[Finding]:
    """Reach it, write to it, and compare its aliases with the active plans."""
    client = Registry().client
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    client.set_experiment_tag(DEFAULT_EXPERIMENT, "ml_assets.doctor", now)
    yield ok("registry", f"{_shown(tracking_uri())} answers and is writable")
    for name in Registry().deleted_experiments():
        yield warning(
            f"experiment {name}",
            "was deleted in MLflow",
            "the next training of a model of this name restores it",
        )
    for model in Plans().models():
        yield from guarded(f"plan of {model}", partial(_plan, model))


def _shown(uri: str) -> str:
    """The address without a password."""
    scheme, mark, rest = uri.partition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _plan(model: str) -> Iterator[Finding]:
    """The active plan: its files, and what the registry calls champion."""
    name = f"plan of {model}"
    plan = Plans().current(model)
    if plan is None:
        return
    live = plan.live
    retrain = f"train and deploy again: ml-assets train {model} --force"
    try:
        fetch(storage(), live)
        record = Versions().get(model, live.version)
    except (BundleError, UnknownVersionError) as error:
        yield problem(name, str(error), retrain)
        return
    champion = Registry().aliases(model).get(CHAMPION)
    if champion != record.registry_version:
        yield problem(
            name,
            f"plan {plan.generation} serves version {live.version}, number"
            f" {record.registry_version}, but the registry's champion is {champion}",
            f"the plan is what serves; deploy again: ml-assets deploy {model}",
        )
        return
    yield ok(name, f"version {live.version}, plan {plan.generation}, champion")
