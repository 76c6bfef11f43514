"""``release/smoke``: a small model, trained and loaded inside the image under test.

A delivery starts it through the webserver of the environment, so that it runs where
every other run does: in a pod, with the image, account and volumes of runs.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from ml_assets.core.provenance import git_commit
from ml_assets.delivery.checks import DATA_QUALITY, PIPELINE, SMOKE_JOB
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import RELEASE
from ml_assets.spec.source import SourceSpec

SMOKE = dg.AssetKey([RELEASE, "smoke"])
ROWS = 600


class Smoke(NamedTuple):
    """The accuracy of the small model, that of the majority class, and its runtime."""

    accuracy: float
    majority: float
    runtime: str


def build() -> dg.Definitions:
    """The asset with its two checks, and the job that a delivery launches."""
    checks = {
        PIPELINE: "A model trained on synthetic rows is packaged, loads, and predicts.",
        DATA_QUALITY: "The data of every model's newest version passes its rules.",
    }

    @dg.asset(
        key=SMOKE,
        group_name=RELEASE,
        owners=["team:ml-platform"],
        kinds={"python", "scikitlearn"},
        description="A small model, trained and loaded inside the image under test.",
        check_specs=[
            dg.AssetCheckSpec(name, asset=SMOKE, description=text)
            for name, text in checks.items()
        ],
    )
    def smoke() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from ml_assets.spec.catalogue import specs

        with tempfile.TemporaryDirectory() as scratch:
            found = try_pipeline(Path(scratch) / "bundle")
        faults = broken_rules(list(specs().values()))
        yield dg.MaterializeResult(metadata={"commit": git_commit(), **found._asdict()})
        yield dg.AssetCheckResult(
            check_name=PIPELINE,
            asset_key=SMOKE,
            passed=found.accuracy > found.majority,
            description=f"accuracy {found.accuracy:.4f}, that of the majority class"
            f" {found.majority:.4f}, served {found.runtime}",
        )
        yield dg.AssetCheckResult(
            check_name=DATA_QUALITY,
            asset_key=SMOKE,
            passed=not faults,
            description="; ".join(faults) or "every rule holds",
        )

    job = dg.define_asset_job(
        SMOKE_JOB,
        selection=dg.AssetSelection.assets(SMOKE),
        description="Trains, packages and loads a small model with this image.",
    )
    return dg.Definitions(assets=[smoke], jobs=[job])


def try_pipeline(directory: Path) -> Smoke:
    """Train, package, load and score a small model; the bundle goes to `directory`."""
    from ml_assets.lifecycle.feature_table import feature_table
    from ml_assets.lifecycle.request_signature import request_signature
    from ml_assets.lifecycle.training import package
    from ml_assets.ml.sources import read_source
    from ml_assets.ml.training import train
    from ml_assets.spec.reserved import HELD_OUT

    spec = ModelSpec(
        name="smoke",
        source=SourceSpec(type="synthetic", rows=ROWS),
        target="churned",
        positive="yes",
    )
    table, _ = feature_table(spec, read_source(spec.source, directory.parent))
    held_out = table[HELD_OUT].to_numpy()
    trained = train(table.drop(columns=HELD_OUT), spec, test=held_out)
    # A bundle is loaded again, and repeats the answers of training, or there is none.
    signature = request_signature(spec, trained, {})
    manifest = package(trained, directory, signature)
    answers = trained.task.answers(trained.pipeline, trained.x_test)
    found = trained.task.evaluate(trained.y_test, answers)
    accuracy, majority = found.metrics["accuracy"], found.majority["accuracy"]
    return Smoke(float(accuracy), float(majority), manifest.runtime)


def broken_rules(specs: list[ModelSpec]) -> list[str]:
    """The expectations that today's rules find broken in data that was accepted.

    Reads the raw table of each model's newest version, where it is kept.
    """
    from ml_assets.quality import run_expectations
    from ml_assets.state.tables import Tables
    from ml_assets.state.versions import Versions

    versions, tables = Versions(), Tables()
    faults: list[str] = []
    for spec in specs:
        for name in versions.latest(spec.name):
            data = versions.get(spec.name, name).raw_version
            if tables.exists(spec.name, "raw", data):
                raw: Any = tables.read(spec.name, "raw", data)
                faults += [
                    f"{spec.name} {name}: {outcome.message}"
                    for outcome in run_expectations(raw, spec.expect)
                    if not outcome.passed
                ]
    return faults
