"""Long work reports how far it is to a listener, and to nobody where there is none."""

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from ml_assets.core import transfer
from ml_assets.core.progress import Listener, listening, report
from ml_assets.ml.sources import read_source
from ml_assets.ml.synthetic import synthetic
from ml_assets.ml.training import train
from ml_assets.quality import run_expectations
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.source import SourceSpec

State = tuple[str, int | None, int | None]


def noted(seen: list[State]) -> Listener:
    return lambda what, done, total: seen.append((what, done, total))


def test_a_listener_hears_its_block_and_the_one_around_it_goes_on() -> None:
    outer: list[State] = []
    inner: list[State] = []
    with listening(noted(outer)):
        with listening(noted(inner)):
            report("rows", 1)
        report("rows", 2)
    report("rows", 3)
    assert (inner, outer) == ([("rows", 1, None)], [("rows", 2, None)])


def test_a_download_reports_bytes_of_those_that_were_promised(tmp_path: Path) -> None:
    body = io.BufferedReader(io.BytesIO(b"x" * 600_000))
    answer: Any = SimpleNamespace(
        status_code=200, headers={"Content-Length": "600000"}, raw=body
    )
    seen: list[State] = []
    with listening(noted(seen)):
        transfer.save(answer, tmp_path / "part", time.monotonic() + 60, time.monotonic)
    counts = [done for what, done, total in seen]
    assert counts == sorted(counts) and counts[-1] == 600_000
    assert {(what, total) for what, _, total in seen} == {("bytes", 600_000)}


def test_a_source_reports_each_of_its_files(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("x,y\n1,2\n")
    seen: list[State] = []
    with listening(noted(seen)):
        read_source(SourceSpec(type="csv", path=str(tmp_path / "*.csv")), tmp_path)
    assert seen == [("files", number, 3) for number in range(3)]


def test_a_validation_reports_its_rules() -> None:
    seen: list[State] = []
    rules: list[dict[str, Any]] = [
        {"expect_column_values_to_not_be_null": {"column": "x"}},
        {"expect_table_row_count_to_be_between": {"min_value": 1}},
    ]
    with listening(noted(seen)):
        run_expectations(pd.DataFrame({"x": [1, 2]}), rules)
    assert seen[0] == ("rules", 0, 2)
    assert all(what == "rules" and total == 2 for what, _, total in seen)


def test_a_search_reports_its_candidates() -> None:
    spec = ModelSpec.model_validate(
        {
            "name": "m",
            "source": {"type": "synthetic"},
            "target": "churned",
            "estimator": {"type": "sklearn.tree.DecisionTreeClassifier"},
            "search": {"params": {"max_depth": [1, 2]}, "folds": 2},
        }
    )
    seen: list[State] = []
    with listening(noted(seen)):
        train(synthetic(rows=200), spec)
    assert seen == [("2 candidates of a search, 2 folds", None, None)]
