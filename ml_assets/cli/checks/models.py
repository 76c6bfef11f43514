"""The models: every YAML, its expectations, and what its source needs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from ml_assets.cli.checks import Finding, ok, problem, warning
from ml_assets.components import trial
from ml_assets.spec.catalogue import (
    CatalogueError,
    folders,
    model_files,
    read_specs,
)
from ml_assets.spec.model import ModelSpec

ADVICE = (
    "create a token at https://www.kaggle.com/settings and set KAGGLE_JSON to the text"
    " of kaggle.json or to its path"
)


def check() -> Iterator[Finding]:
    """Each YAML by itself, then all of them as Dagster loads them."""
    for path in model_files():
        try:
            found = read_specs(path)
        except CatalogueError as error:
            yield problem("yaml", str(error), "mend the line; the others go on")
            continue
        for spec in found:
            yield from _model(spec)
    yield _definitions()


def _model(spec: ModelSpec) -> Iterator[Finding]:
    from ml_assets.ml.sources.environment import expand
    from ml_assets.ml.tables import SourceError

    name = f"model {spec.name}"
    faults = [f"{'.'.join(map(str, at))}: {why}" for at, why in trial.faults(spec)]
    if faults:
        yield problem(name, "; ".join(faults), "mend its defs.yaml")
        return
    yield ok(name, f"YAML, estimator and {len(spec.expect)} expectations are valid")
    source = spec.source
    try:
        for text in (source.path, source.url, source.query):
            expand(text, f"source of {spec.name}")
    except SourceError as error:
        yield warning(name, str(error), "set it where this model trains")
    if source.type == "kaggle":
        yield _kaggle(name)


def _kaggle(name: str) -> Finding:
    setting = os.environ.get("KAGGLE_JSON", "").strip()
    if not setting:
        message = "its source is Kaggle, and KAGGLE_JSON is not set"
        return warning(name, message, ADVICE)
    try:
        text = setting
        if not setting.startswith("{"):
            text = Path(setting).expanduser().read_text("utf-8")
        token = json.loads(text)
        is_token = bool(token["username"] and token["key"])
    except (OSError, ValueError, KeyError, TypeError):
        is_token = False
    if not is_token:
        message = "KAGGLE_JSON is neither a token nor the path of one"
        return problem(name, message, ADVICE)
    return ok(name, "KAGGLE_JSON holds a token")


def _definitions() -> Finding:
    from dagster import DagsterError

    from ml_assets.definitions import completed
    from ml_assets.spec import component_tree

    try:
        loaded = [component_tree.load(folder, completed) for folder in folders()]
        jobs = [job for found in loaded for job in found.resolve_all_job_defs()]
    except DagsterError as error:
        return problem("definitions", str(error), "dg check defs shows the place")
    named = [job for job in jobs if not job.name.startswith("__")]
    return ok("definitions", f"load, with {len(named)} jobs")
