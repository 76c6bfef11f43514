"""No column of the data is taken for one of the platform's own."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.core.files import read_json
from ml_assets.lifecycle.compaction import compact
from ml_assets.state.logged import predictions
from ml_assets.state.plans import Plans
from ml_assets_tests.conftest import definitions_of, failure_of
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.prediction_log import line, ship, truth

pytestmark = pytest.mark.slow

# What the log, the labels, reports, requests and tables call things, and the names of
# arguments that take columns by keyword.
NAMES = (
    "id ids entity entities time timestamp request version arm generation p us error x"
    " label labels probability truth received place day predicted right missing"
    " row rows columns index level_0 self name dtype model categories numbers estimator"
    " encode derive frame inputs parameters data outputs y target positive"
).split()
SPECIAL = ["predicted positive", "a:b", 'a "quote"', "año", "x_a", "100%", "{curly}"]
EXPECTED = [
    {"expect_column_values_to_not_be_null": {"column": name}}
    for name in ("self", "id", "probability", "text")
]


def table(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({n: random.normal(size=rows) for n in [*NAMES, *SPECIAL]})
    # Its indicator columns are called like others: x_a, text_a.
    frame["text"] = random.choice(["a", "b"], rows)
    frame["text_a"] = random.normal(size=rows)
    # Text columns too, of names with which frames are assigned by keyword.
    frame["self"] = random.choice(["u", "v"], rows)
    frame["label"] = random.choice(["yes", "no"], rows)
    score = frame["probability"] + (frame["text"] == "a") + frame["id"]
    frame["churned"] = np.where(score + random.normal(size=rows) > 0.5, "yes", "no")
    return frame


def execute(spec: Any, job: str, instance: dg.DagsterInstance) -> Any:
    done = (
        definitions_of(spec)
        .resolve_job_def(f"churn_{job}")
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    return done


def test_columns_with_names_of_ours_go_all_the_way(
    make_spec: Any,
    home: Path,
    tmp_path: Path,
    instance: dg.DagsterInstance,
) -> None:
    frame = table()
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    spec = make_spec(
        source={"type": "csv", "path": str(path)},
        estimator={"type": "sklearn.linear_model.LogisticRegression"},
        expect=EXPECTED,
        gate={"threshold": 0.1, "beat_majority": False},
        features={"derive": {"sum": "probability + id", "assign": "p - x"}},
    )
    for job in ("train", "deploy"):
        done = execute(spec, job, instance)
        assert done.success, failure_of(done)

    done = invoke("predict", "churn", str(path), "--ignore-unknown", "--json")
    assert done.exit_code == 0, done.output
    answers = json.loads(done.stdout)["predictions"]
    assert len(answers) == len(frame)

    plan = Plans().current("churn")
    assert plan is not None
    from ml_assets.state.bundles import signature_of

    names = [c.name for c in signature_of(plan.live).columns]
    assert {*NAMES, *SPECIAL} <= {*names}
    now = dt.datetime.now(dt.UTC).timestamp()
    lines = [
        line(
            now + number / 1_000,
            number,
            version=plan.live.version,
            generation=plan.generation,
            x=[row[name] for name in names],
            p=answer["probability"],
            label=answer["label"],
        )
        for number, (row, answer) in enumerate(zip(frame.to_dict("records"), answers))
    ]
    ship(home, lines)
    labels = [truth(item["id"], "yes", now + 10) for item in lines]
    ship(home, labels, "s-00000000.labels")

    for job in ("monitor", "replay"):
        done = execute(spec, job, instance)
        assert done.success, failure_of(done)

    assert compact("churn", "predictions").segments == 0
    (kept,) = predictions("churn", ["x", "p"])
    assert json.loads(kept["x"][0]) == [frame.iloc[0][name] for name in names]
    (report,) = (home / "reports" / "churn" / "drift").glob("predictions-*.json")
    found = [column["column"] for column in read_json(report)["columns"]]
    assert len(found) == len({*found})
    assert {*names, "probability (predicted)"} <= {*found}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"features": {"derive": {"__held_out__": "id + 1"}}},
        {"split": {"type": "time", "column": "__held_out__"}},
        {"target": "__held_out__"},
    ],
    ids=["an input", "a derived column", "the column of time", "the target"],
)
def test_the_one_name_that_is_kept_is_refused_where_data_comes_in(
    make_spec: Any, tmp_path: Path, instance: dg.DagsterInstance, changed: Any
) -> None:
    frame = table().assign(__held_out__=lambda rows: rows["churned"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    source = {"type": "csv", "path": str(tmp_path / "rows.csv")}

    done = execute(make_spec(source=source, **changed), "train", instance)

    assert not done.success
    assert "column '__held_out__' is kept for" in failure_of(done)


def test_the_kept_name_may_be_dropped_in_a_home_below_a_directory_like_a_partition(
    make_spec: Any, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "year=2026" / "home"))
    frame = table()[["id", "text", "churned"]].assign(__held_out__="often")
    frame.loc[0, "__held_out__"] = "never"
    frame.to_csv(tmp_path / "rows.csv", index=False)
    spec = make_spec(
        source={"type": "csv", "path": str(tmp_path / "rows.csv")},
        features={"drop": ["__held_out__"]},
    )

    done = execute(spec, "train", instance)

    assert done.success, failure_of(done)
