"""Requests that were valid in the first week are valid in every later one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.state.bundles import served_signature
from ml_assets.state.plans import Plans
from ml_assets.state.versions import PROFILE, Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.records import forget_contract

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]


def week(path: Path, seed: int, rows: int = 400, **changes: Any) -> pd.DataFrame:
    """Visits, each with its own ticket; `changes` replace columns."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 60, rows)
    frame = pd.DataFrame(
        {
            "ticket": [f"T-{seed}-{number:05}" for number in range(rows)],
            "day": pd.date_range("2026-01-01", periods=rows).strftime("%d.%m.%Y"),
            "country": "NL",
            "age": age,
            "fee": random.integers(1, 9, rows) / 2,
            "plan": random.choice(["basic", "plus", "old"], rows),
            "came": np.where(age + random.normal(size=rows) > 40, "yes", "no"),
        }
    ).assign(**{name: value for name, value in changes.items() if value is not None})
    frame = frame.drop(columns=[name for name, v in changes.items() if v is None])
    frame.to_csv(path, index=False)
    return frame


def model(path: Path, **more: Any) -> TabularClassifier:
    return TabularClassifier.model_validate(
        {
            "name": "visits",
            "source": {"type": "csv", "path": str(path)},
            "target": "came",
            "positive": "yes",
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            "gate": {"beat_champion": False, "beat_majority": False},
            **more,
        }
    )


def probability_of(home: Path, row: dict[str, Any]) -> float:
    """What the version in service answers to a request of one row."""
    plan = Plans().current("visits")
    assert plan is not None
    runtime = load_runtime(home / plan.live.bundle, plan.live.files)
    batch = RowDecoder(runtime.signature, 10).decode(
        json.dumps({"rows": [row]}).encode()
    )
    assert batch.row is not None
    return float(runtime.predict_one(batch.row))


def deploy(run_job: Run, spec: TabularClassifier, **config: Any) -> Any:
    return run_job(spec, "deploy", {"visits__deployment": {"config": config}})


def newest_gate(home: Path) -> dict[str, Any]:
    store = Versions()
    evaluation = store.evaluation("visits", store.names("visits")[-1])
    assert evaluation is not None
    gate: dict[str, Any] = evaluation["gate"]
    return gate


def test_a_request_of_the_first_week_is_taken_until_somebody_decides_otherwise(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    first = week(path, seed=1)
    spec = model(path)
    done = run_job(spec, "train")
    assert done.success, failure_of(done)
    assert deploy(run_job, spec).success
    signature = served_signature("visits")
    assert signature is not None
    assert [column.name for column in signature.inputs] == ["age", "fee", "plan"]
    assert {c.name for c in signature.columns if c.ignored} == {
        "ticket",
        "day",
        "country",
    }
    # The profile watches what was constant, and holds no ticket.
    plan = Plans().current("visits")
    assert plan is not None
    profile = Versions().document("visits", plan.live.version, PROFILE)
    assert profile is not None
    assert {*profile["categories"]["country"]["counts"]} == {"NL"}
    assert "T-1-" not in json.dumps(profile)
    whole = {name: first.iloc[0][name] for name in first.columns if name != "came"}
    whole["age"] = int(whole["age"])
    short = {"age": 55, "fee": 2.5, "plan": "old"}
    answers = [probability_of(home, row) for row in (whole, short)]

    # Whole fees, no "old" plan, a country that varies, a column more: one week later.
    random = np.random.default_rng(2)
    forget_contract("visits")
    week(
        path,
        seed=2,
        fee=random.integers(1, 9, 400),
        plan=random.choice(["basic", "plus"], 400),
        country=random.choice(["NL", "BE"], 400),
        visits=random.integers(1, 9, 400),
    )
    done = run_job(spec, "train")
    assert done.success, failure_of(done)
    clauses = {item["name"]: item for item in newest_gate(home)["clauses"]}
    assert clauses["interface"]["passed"], clauses
    assert deploy(run_job, spec).success
    again = [probability_of(home, row) for row in (whole, short)]
    # They mean the same, by another model.
    assert [value > 0.5 for value in again] == [value > 0.5 for value in answers]
    assert probability_of(home, {**short, "country": "BE", "visits": 3}) > 0

    # The plan becomes a number: what callers send until now has no meaning any more.
    forget_contract("visits")
    week(path, seed=3, plan=random.integers(1, 3, 400))
    done = run_job(spec, "train")
    assert done.success, failure_of(done)
    (note,) = Versions().get("visits", Versions().names("visits")[-1]).notes
    assert note.startswith("taken in requests and not read: ticket, day, country")
    gate = newest_gate(home)
    assert not gate["passed"]
    assert "column 'plan': expected whole numbers, found texts" in gate["reason"]
    version = Versions().names("visits")[-1]
    refused = deploy(run_job, spec, version=version)
    assert not refused.success
    assert "--accept-interface-change" in failure_of(refused)
    # So it is where another champion served when it was evaluated.
    store = Versions()
    evaluation = store.evaluation("visits", version)
    assert evaluation is not None
    figures = {**evaluation["figures"], "refuses": []}
    elsewhere = {**evaluation, "figures": figures}
    store.save_evaluation("visits", version, elsewhere)
    refused = deploy(run_job, spec, version=version)
    assert "requests otherwise than the one that serves" in failure_of(refused)
    store.save_evaluation("visits", version, evaluation)
    assert deploy(run_job, spec, accept_interface_change=True).success
    plan = Plans().current("visits")
    assert plan is not None and plan.live.version == version
    assert "accepted with it: column 'plan'" in plan.reason

    back = invoke("rollback", "visits", "--reason", "complaints")
    assert back.exit_code == 0, back.output
    assert f"it does not answer every request as {version} did: column" in back.output
