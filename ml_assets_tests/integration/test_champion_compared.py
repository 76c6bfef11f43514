"""Weeks in which the champion is compared, refused a repetition, or judged again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.lifecycle.holds import hold
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.records import forget_contract

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
ROWS = 900


def customers(rows: int) -> pd.DataFrame:
    """The same customers each week, and some more."""
    random = np.random.default_rng(5)
    fee, visits = random.normal(size=2 * ROWS), random.normal(size=2 * ROWS)
    left = fee + visits + random.normal(scale=0.7, size=2 * ROWS) > 0
    hours = pd.date_range("2020-01-01", periods=2 * ROWS, freq="h")
    joined = hours.strftime("%d.%m.%Y %H:%M")
    frame = pd.DataFrame(
        {"joined": joined, "fee": fee, "visits": visits, "left": left.astype(int)}
    )
    return frame[:rows].copy()


def model(path: Path, **more: Any) -> TabularClassifier:
    return TabularClassifier.model_validate(
        {
            "name": "gym",
            "source": {"type": "csv", "path": str(path)},
            "target": "left",
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            "gate": {"threshold": 0.5},
            **more,
        }
    )


def clauses(home: Path, version: str) -> dict[str, str]:
    found = Versions().evaluation("gym", version)
    assert found is not None
    return {item["name"]: item["sentence"] for item in found["gate"]["clauses"]}


def test_five_weeks_of_one_champion(run_job: Run, home: Path, tmp_path: Path) -> None:
    path, versions = tmp_path / "rows.csv", Versions()

    def week(frame: pd.DataFrame, **more: Any) -> str:
        frame.to_csv(path, index=False)
        forget_contract("gym")
        done = run_job(model(path, **more), "train")
        assert done.success, failure_of(done)
        return versions.names("gym")[-1]

    champion = week(customers(ROWS))
    assert run_job(model(path), "deploy").success

    # A column of the champion is constant: it is read from the raw table.
    constant = week(customers(2 * ROWS).assign(fee=0.5))
    test_rows = versions.get("gym", constant).test_rows
    clause = clauses(home, constant)["champion"]
    assert f"of the champion {champion} on the same" in clause and "nan" not in clause

    # It is gone: both are compared on the rows that were held out from the champion.
    gone = week(customers(2 * ROWS).drop(columns="fee"))
    clause = clauses(home, gone)["champion"]
    assert "is below" in clause and "test rows of the champion" in clause

    # A gate too high refuses; lowered, it judges the same version again. A column that
    # the champion only takes in requests may be gone.
    grown = customers(2 * ROWS).drop(columns="joined")
    high = week(grown, gate={"threshold": 0.99})
    test_rows = versions.get("gym", high).test_rows
    assert versions.get("gym", champion).test_rows < test_rows
    assert "is not above 0.99" in clauses(home, high)["threshold"]
    assert f"on the same {test_rows:,} test rows" in clauses(home, high)["champion"]
    low = {"threshold": 0.5, "beat_champion": False}
    assert week(grown, gate=low) == high
    assert "is above 0.5" in clauses(home, high)["threshold"]
    asked = {"gym__deployment": {"config": {"version": high}}}
    assert run_job(model(path, gate=low), "deploy", asked).success
    plan = Plans().current("gym")
    assert plan is not None and plan.live.version == high

    # Who asks for a version on hold is told so, also if it was in service before.
    hold(LocalTarget(), "gym", champion, "user ana", "complaints")
    asked = {"gym__deployment": {"config": {"version": champion}}}
    refused = run_job(model(path), "deploy", asked)
    assert not refused.success
    assert f"version {champion} is on hold since" in failure_of(refused)
