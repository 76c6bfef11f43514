"""What somebody deletes in MLflow stops no training."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.cli.checks import registry as checks
from ml_assets.components import TabularClassifier
from ml_assets.state.registry import Registry, RegistryError
from ml_assets.state.versions import Versions

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
FORCED = {"churn__model": {"config": {"force": True}}}


def delete_experiment() -> None:
    client = Registry().client
    found = client.get_experiment_by_name("churn")
    client.delete_experiment(found.experiment_id)


def delete_registered_model() -> None:
    Registry().client.delete_registered_model("churn")


def delete_both() -> None:
    delete_registered_model()
    delete_experiment()


@pytest.mark.parametrize("delete", [delete_registered_model, delete_both])
def test_the_next_training_makes_good_what_was_deleted(
    delete: Callable[[], None],
    make_spec: Callable[..., TabularClassifier],
    run_job: Run,
    home: Path,
) -> None:
    spec = make_spec()
    assert run_job(spec, "train").success
    delete()
    deleted = [f.message for f in checks.check() if f.status == "warning"]
    assert bool(deleted) == (delete is not delete_registered_model)
    assert run_job(spec, "train", FORCED).success
    assert len(Versions().names("churn")) == 2
    assert [f for f in checks.check() if f.status != "ok"] == []


def test_a_registry_that_takes_no_run_is_found_out_before_fitting(
    make_spec: Callable[..., TabularClassifier],
    run_job: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted: list[Any] = []
    monkeypatch.setattr("ml_assets.ml.training.train", lambda *a: fitted.append(a))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none.db")
    # MLflow waits for its database for more than a minute.
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)
    assert not run_job(make_spec(), "train").success
    assert fitted == []


def test_a_registry_of_another_mlflow_is_not_called_out_of_reach(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where two code locations that share it have other locks."""
    assert Registry().client is not None
    newer = home / "newer.db"
    shutil.copy(home / "mlflow.db", newer)
    with contextlib.closing(sqlite3.connect(newer)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'c0ffee'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{newer}")
    with pytest.raises(RegistryError, match=r"newer\.db is of another MLflow than 3\."):
        Registry().aliases("churn")
