"""Compiled versions whose long requests a library process answers."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, Column, Signature
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.bundle import write_bundle
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.process import model_loading
from ml_assets.serving.process.model_loading import ModelLoading
from ml_assets.serving.runtime.protocol import Refused, Runtime
from ml_assets_tests.kits.serving import plan

LETTERS = ["x", "y", "z"]
SIGNATURE = Signature(
    columns=(
        Column(name="unused", kind="string", nullable=True, ignored=True),
        Column(name="amount", kind="number", nullable=True),
        Column(name="floor", kind="integer", nullable=True),
        Column(name="flag", kind="boolean"),
        Column(name="letter", kind="string", categories=tuple(LETTERS)),
    ),
    target="made",
    negative=0,
    positive=1,
)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Arm:
    """A compiled version in a storage, of columns of each kind."""
    root = tmp_path_factory.mktemp("storage")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "unused": None,
            "amount": rng.normal(size=400),
            "floor": rng.choice([1.0, 2.0, 3.0, np.nan], 400),
            "flag": rng.random(400) < 0.5,
            "letter": rng.choice(LETTERS, 400),
        }
    )
    target = (frame.amount + frame.floor.isna() + (frame.letter == "x") > 0.5) * 1
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    encode = ColumnTransformer(
        [
            ("numbers", "passthrough", ["amount", "flag"]),
            ("categories", one_hot, ["floor", "letter"]),
        ]
    )
    estimator = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    pipeline = Pipeline([("encode", encode), ("estimator", estimator)])
    pipeline.fit(frame, target)
    manifest = write_bundle(root / "bundle", pipeline, SIGNATURE, frame.head(60))
    assert manifest.runtime == "compiled", manifest.reason
    return Arm(
        version=str(root),
        bundle="bundle",
        files=dict(manifest.files),
        runtime=manifest.runtime,
    )


def rows(count: int) -> list[list[Any]]:
    """Request columns, with what is missing."""
    rng = np.random.default_rng(1)
    return [
        [None] * count,
        [None if at % 7 == 0 else float(rng.normal()) for at in range(count)],
        [None if at % 3 == 0 else int(rng.integers(1, 5)) for at in range(count)],
        [bool(at % 2) for at in range(count)],
        [LETTERS[at % 3] for at in range(count)],
    ]


@pytest.fixture
def divided(
    arm: Arm, pool: LibraryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Runtime:
    """The version as a server has it, for which all but one row is long."""
    monkeypatch.setattr(model_loading, "_HERE_SECONDS", 0.0)
    return loaded(arm, tmp_path, monkeypatch, pool)


def loaded(
    arm: Arm,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: LibraryPool | None = None,
) -> Runtime:
    monkeypatch.setenv("ML_ASSETS_CACHE", str(cache))
    loading = ModelLoading(Storage(arm.version), PredictionIds(), 1000, library=pool)
    served = plan(arm, 1)
    return loading.load(served, loading.fetch(served)).live.runtime


def test_a_long_request_is_answered_in_a_process_to_the_last_bit(
    divided: Runtime,
    arm: Arm,
    metrics: Metrics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = loaded(arm, tmp_path, monkeypatch)
    columns = rows(500)
    assert divided.predict_one([column[1] for column in columns]) == here.predict_one(
        [column[1] for column in columns]
    )
    assert metrics.library_processes() == 0
    found = divided.predict_many(columns)
    assert metrics.library_processes() == 1
    assert found.tobytes() == here.predict_many(columns).tobytes()


def test_a_process_that_answers_leaves_the_processor_to_the_server(
    divided: Runtime, pool: LibraryPool
) -> None:
    divided.predict_many(rows(20))
    [child] = pool._children.values()
    found = os.getpriority(os.PRIO_PROCESS, child._process.pid)
    assert found == min(os.getpriority(os.PRIO_PROCESS, 0) + 15, 19)


def test_a_number_beyond_float64_is_refused_in_a_long_request_too(
    divided: Runtime,
) -> None:
    columns = rows(4)
    columns[2][1] = 10**400
    with pytest.raises(Refused, match="too large"):
        divided.predict_many(columns)


def test_a_long_request_whose_process_is_killed_is_answered_by_the_next(
    divided: Runtime, pool: LibraryPool, metrics: Metrics
) -> None:
    columns = rows(20)
    before = divided.predict_many(columns)
    [child] = pool._children.values()
    os.kill(child._process.pid, signal.SIGKILL)
    assert divided.predict_many(columns).tobytes() == before.tobytes()
    assert metrics.library_replaced["ended"] == 1


def test_a_version_that_is_fast_for_as_many_rows_as_are_allowed_needs_no_process(
    arm: Arm,
    pool: LibraryPool,
    metrics: Metrics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_loading, "_HERE_SECONDS", 60.0)
    loaded(arm, tmp_path, monkeypatch, pool).predict_many(rows(500))
    assert metrics.library_processes() == 0
