"""Every row of the training file scores as the pipeline scores it, by each way in."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.lifecycle import scoring
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.state.plans import Plans
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.app import Answer, ask, served, server
from ml_assets_tests.kits.cli import invoke

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
ROWS = 300
SEED = 20261128


class Case(NamedTuple):
    """Cells of columns, as a file has them, and how the file is to be read."""

    columns: dict[str, list[str]]
    read: dict[str, Any] = {}
    features: dict[str, Any] = {}


CASES = {
    "an ordinary file": Case(
        {
            "truths": ["true", "false"],
            "truths with gaps": ["true", "false", ""],
            "truths in capitals with gaps": ["TRUE", "False", "false", "True", ""],
            "truths as numbers": ["0", "1"],
            "yes and no with gaps": ["yes", "no", ""],
            "whole numbers": [str(number) for number in range(-3, 40)],
            "whole numbers with gaps": ["1", "2", "3", ""],
            "categories that are numbers": ["1", "2", "3", ""],
            "fractions that are whole": ["1.0", "2.0", "3.50", ""],
            "numbers in every spelling": [
                *("1e-3", "+5", " 7 ", "1E5", "-0.0", ".5", "3.", "0.1"),
                "9007199254740993",
            ],
            "numbers between texts": ["12", "12.0", "abc", "7", ""],
            "forced numbers": ["1", "2.5", ""],
            "codes": ["01234", "00001", "12345"],
            "codes with gaps": ["01", "02", "10", ""],
            "moments in two spellings": [
                *("2026-01-01T00:00:00", "2026-01-01 00:00:00"),
                "2026-02-01 12:30:00",
            ],
            "days": ["2026-01-01", "2026-03-01", ""],
            "numbers with signs": ["12%", "7%", "100%"],
            "texts of every kind": [
                *("a,b", 'say "x"', "two\nlines", "  blanks  ", "=1+1", "<b>"),
                *("\\n", "0x1", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
            ],
        },
        features={
            "categorical": [
                *("categories that are numbers", "days", "moments in two spellings"),
            ],
            "numeric": ["forced numbers"],
        },
    ),
    "texts that look missing": Case(
        {"a": ["None", "NA", "nan", "?", "x"]}, read={"missing": [""]}
    ),
    "other texts that are missing": Case(
        {"a": ["-999", "none", "1", "2"]}, read={"missing": ["-999", "none"]}
    ),
    "blanks that count": Case({"a": [" a", "a", "a "]}, read={"strip": False}),
    "decimal commas": Case(
        {"a": ["1,5", "2,25", "-3,0", "7", ""]}, read={"decimal": ",", "separator": ";"}
    ),
    "thousands": Case({"a": ["1,234", "12,345.5", "7", ""]}, read={"thousands": ","}),
    "another mark and an introduction": Case(
        {"a": ["x", "y", ""]}, read={"separator": "\t", "skip_rows": 2}
    ),
    "Latin-1": Case({"a": ["\xe9", "\xfc", "x"]}, read={"encoding": "latin-1"}),
    "no header": Case(
        {"a": ["x", "y"]}, read={"header": False, "columns": ["a", "n", "y"]}
    ),
}


def write(path: Path, case: Case) -> None:
    """A file with the columns of the case, a number and a target."""
    chance = random.Random(SEED)
    read: dict[str, Any] = {
        "separator": ",",
        "encoding": "utf-8",
        "header": True,
        "skip_rows": 0,
    }
    read |= case.read
    text = io.StringIO()
    writer = csv.writer(text, delimiter=read["separator"], lineterminator="\n")
    if read["header"]:
        writer.writerow([*case.columns, "n", "y"])
    for number in range(ROWS):
        row = [cells[number % len(cells)] for cells in case.columns.values()]
        codes = sum(number % len(cells) for cells in case.columns.values())
        middle = sum(len(cells) - 1 for cells in case.columns.values()) / 2 + 3
        is_in = codes + number % 7 + chance.gauss(0, 1) > middle
        writer.writerow([*row, number % 7, "in" if is_in else "out"])
    lines = "made by a program\n" * read["skip_rows"] + text.getvalue()
    path.write_bytes(lines.encode(read["encoding"]))


class Deployed(NamedTuple):
    """A model in service, its training file, and its pipeline's own answers."""

    home: Path
    file: Path
    raw: pd.DataFrame
    expected: np.ndarray[Any, Any]


@pytest.fixture
def deployed(case: Case, home: Path, tmp_path: Path, run_job: Run) -> Deployed:
    file = tmp_path / "rows.csv"
    write(file, case)
    source: dict[str, Any] = {"type": "csv", "path": str(file)}
    given = {
        "name": "m",
        "source": source | ({"read": case.read} if case.read else {}),
        "target": "y",
        "positive": "in",
        "features": case.features,
        # Each column has an effect.
        "estimator": {
            "type": "sklearn.ensemble.RandomForestClassifier",
            "params": {"n_estimators": 60, "max_features": 1},
        },
        "gate": {"threshold": 0.01, "beat_majority": False},
    }
    spec = TabularClassifier.model_validate(given)
    for job in ("train", "deploy"):
        done = run_job(spec, job)
        assert done.success, failure_of(done)
    (record,) = Versions().records("m")
    tables = Tables()
    rows = tables.read("m", "features", record.features_version)
    raw = tables.read("m", "raw", record.raw_version)
    assert len(rows) == len(raw) == ROWS
    task = scoring.task_of_version(spec, record)
    return Deployed(home, file, raw, scoring.score(task, scoring.load(record), rows))


def answers(deployed: Deployed, file: Path) -> list[float]:
    """What `ml-assets predict` answers for a file's rows."""
    done = invoke("predict", "m", str(file), "--ignore-unknown", "--output", "csv")
    assert done.exit_code == 0, done.output
    found = pd.read_csv(io.StringIO(done.stdout))
    return [float(value) for value in found["probability"]]


def tensors(row: dict[str, Any], signature: Signature) -> Any:
    """The row in the Open Inference Protocol."""
    kinds = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64"}
    missing = {"string": "BYTES", "boolean": "BOOL"}
    inputs = [
        {
            "name": column.name,
            "shape": [1],
            "datatype": kinds.get(type(row[column.name]))
            or missing.get(column.kind, "FP64"),
            "data": [row[column.name]],
        }
        for column in signature.columns
    ]
    return {"inputs": inputs}


def probability(answer: Answer) -> float:
    """Of an answer in any of the three protocols."""
    assert answer.status == 200, answer.body
    found = answer.json
    if "outputs" in found:
        (values,) = [o["data"] for o in found["outputs"] if o["name"] == "probability"]
        return float(values[0])
    if "probabilities" in found:
        return float(found["probabilities"][0])
    return float(found["predictions"][0]["probability"])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_row_scores_as_the_pipeline_scores_it(
    deployed: Deployed, case: Case, tmp_path: Path
) -> None:
    found = {"the training file": answers(deployed, deployed.file)}
    deployed.raw.to_parquet(tmp_path / "raw.parquet")
    found["Parquet"] = answers(deployed, tmp_path / "raw.parquet")
    cells = deployed.raw.drop(columns="y").astype(object)
    rows = cells.where(cells.notna(), None).to_dict("records")
    lines = "".join(json.dumps(row, default=str) + "\n" for row in rows)
    (tmp_path / "raw.jsonl").write_text(lines)
    found["JSON lines"] = answers(deployed, tmp_path / "raw.jsonl")
    plan = Plans().current("m")
    assert plan is not None
    runtime = load_runtime(deployed.home / plan.live.bundle, plan.live.files)
    inputs = [c.name for c in runtime.signature.columns if not c.ignored]
    assert {*case.columns} <= {*inputs}
    app = server(served(name="m", runtime=runtime))
    bodies = {
        "rows": ("/models/m/predict", lambda row: {"rows": [row]}),
        "columns": (
            "/models/m/predict",
            lambda row: {"columns": {name: [value] for name, value in row.items()}},
        ),
        "tensors": ("/v2/models/m/infer", lambda row: tensors(row, runtime.signature)),
        "split": (
            "/invocations",
            lambda row: {
                "dataframe_split": {"columns": [*row], "data": [[*row.values()]]}
            },
        ),
        "records": ("/invocations", lambda row: {"dataframe_records": [row]}),
    }
    for form, (path, body) in bodies.items():
        found[form] = [probability(ask(app, path, body(row))) for row in rows]
    for way, given in found.items():
        wrong = np.flatnonzero(~np.isclose(given, deployed.expected, rtol=0, atol=1e-9))
        assert not len(wrong), (way, rows[wrong[0]], given[wrong[0]])
