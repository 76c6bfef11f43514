"""A model on several files, and its training in many processes."""

import json
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.components import TabularClassifier
from ml_assets.ml.synthetic import synthetic
from ml_assets_tests.conftest import definitions_of

ROWS = 200


def write_parts(directory: Path, count: int = 3) -> None:
    """Files of 200 rows; the second misses a fee, so that its integers are floats."""
    directory.mkdir(parents=True, exist_ok=True)
    frame = synthetic(count * ROWS, 0, 0.0).assign(same=1)
    numbers = range(count * ROWS)
    frame = frame.assign(visits=[n % 12 for n in numbers], calls=numbers)
    frame["visits"] = frame["visits"].astype(object)
    frame.loc[ROWS + 1, "visits"] = None
    for number in range(count):
        part = frame.iloc[number * ROWS : (number + 1) * ROWS]
        part.to_csv(directory / f"part-{number}.csv", index=False)


def part_spec(directory: Path, parallel: bool = True, **overrides: Any) -> Any:
    """The model on those files."""
    path = str(directory / "*.csv")
    given: dict[str, Any] = {
        "name": "churn",
        "source": {"type": "csv", "path": path, "parallel": parallel},
        "target": "churned",
        "positive": "yes",
        "features": {"derive": {"busy": "log1p(calls)"}, "categorical": ["visits"]},
        "estimator": {"params": {"max_iter": 10}},
    }
    return TabularClassifier.model_validate(given | overrides)


def train_job(spec: str) -> dg.JobDefinition:
    """The training job of the model in a JSON text, a process for each step."""
    definitions = definitions_of(TabularClassifier.model_validate(json.loads(spec)))
    job = definitions.resolve_job_def("churn_train")
    return job.with_executor_def(dg.multiprocess_executor)


def many_processes(spec: Any) -> dg.JobDefinition:
    """The same, such that a new process can find it."""
    text = spec.model_dump_json(exclude_unset=True)
    found: Any = dg.build_reconstructable_job(
        "ml_assets_tests.kits.parts",
        "train_job",
        (text,),
        reconstructor_working_directory=str(Path(__file__).parents[2]),
    )
    return found
