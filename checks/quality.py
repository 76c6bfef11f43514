"""The production checks on bundled data: ``python -m checks.quality [MODEL ...]``.

The models of the code location, their own ingestion and their own blocking checks run
in an instance of their own; nothing is built for the occasion. Without names, every
model is checked whose data needs no network. The report is what the checks themselves
wrote, for all models in one file.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "reports" / "data-quality.json"
# Sources that are at hand on every machine.
BUNDLED = {"sklearn", "synthetic"}


def bundled_models(definitions: dg.Definitions) -> list[str]:
    """The models whose rows come with the installation."""
    return [
        key.path[0]
        for key, kinds in _raw_tables(definitions).items()
        if BUNDLED & kinds
    ]


def check(definitions: dg.Definitions, model: str) -> dict[str, Any]:
    """Ingest `model` and run its checks; their report, or why there is none."""
    from ml_assets.core.storage import storage
    from ml_assets.state.validations import validation_prefix

    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey([model, "raw"])],
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            raise_on_error=False,
        )
    results = done.get_asset_check_evaluations()
    failed = [
        f"{item.check_name}: {item.description}" for item in results if not item.passed
    ]
    reports = sorted(info.name for info in storage().objects(validation_prefix(model)))
    return {
        "model": model,
        "passed": done.success and bool(results) and not failed,
        "checks": len(results),
        "failed": failed,
        "error": None if done.success or failed else _reason(done),
        "reports": [json.loads(storage().get(name) or b"null") for name in reports],
    }


def run(definitions: dg.Definitions, models: list[str], report: Path) -> bool:
    """Check `models`, write `report`, and return whether all passed."""
    results = [check(definitions, model) for model in models]
    report.parent.mkdir(parents=True, exist_ok=True)
    passed = bool(results) and all(item["passed"] for item in results)
    whole = {"passed": passed, "models": results}
    report.write_text(json.dumps(whole, indent=2, default=str) + "\n")
    for item in results:
        verdict = "passed" if item["passed"] else "failed"
        print(f"{item['model']}: {item['checks']} checks, {verdict}")
        for text in filter(None, [*item["failed"], item["error"]]):
            print(f"  {text}")
    print(f"report: {report}")
    return passed


def _raw_tables(definitions: dg.Definitions) -> dict[dg.AssetKey, set[str]]:
    graph = definitions.resolve_asset_graph()
    return {
        key: set(graph.get(key).kinds)
        for key in graph.get_all_asset_keys()
        if len(key.path) == 2 and key.path[1] == "raw"
    }


def _reason(done: dg.ExecuteInProcessResult) -> str:
    errors = [
        event.step_failure_data.error.to_string()
        for event in done.get_step_failure_events()
        if event.step_failure_data.error
    ]
    return "; ".join(errors) or "no check was evaluated"


def main(names: list[str]) -> int:
    """Check in a home of its own, so that no earlier contract counts."""
    from ml_assets.cli.output import quiet_libraries
    from ml_assets.definitions import defs

    quiet_libraries()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ML_ASSETS_HOME"] = home
        os.environ.pop("ML_ASSETS_STORAGE", None)
        definitions = defs()
        models = names or bundled_models(definitions)
        return 0 if run(definitions, models, REPORT) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
