"""A model of LightGBM from its YAML to the answers of a server."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.lifecycle.reproduce import reproduce
from ml_assets.lifecycle.scoring import held_out_rows, load
from ml_assets.state.bundles import signature_of_version
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.serving import Server
from ml_assets_tests.kits.tasks import WINE, spec_in

pytestmark = pytest.mark.slow

LINEAR = "sklearn.linear_model.LogisticRegression"
LIGHTGBM = "lightgbm.LGBMClassifier, params: {n_estimators: 20, min_child_samples: 5}"


def test_a_booster_is_trained_compiled_deployed_and_answers_as_its_library(
    run_job: Callable[..., dg.ExecuteInProcessResult], home: Path, tmp_path: Path
) -> None:
    spec = spec_in(tmp_path, WINE.replace(LINEAR, LIGHTGBM))
    for job in ("train", "deploy"):
        done = run_job(spec, job)
        assert done.success, failure_of(done)
    (version,) = Versions().names("wine")
    record = Versions().get("wine", version)
    assert (record.runtime, record.runtime_reason) == ("compiled", "")
    assert "booster-0.lightgbm.txt" in record.files
    assert reproduce("wine", version).notes == []

    inputs = [column.name for column in signature_of_version(record).inputs]
    held = held_out_rows(spec, record).rows[inputs].head(20)
    expected = load(record).predict_proba(held).tolist()
    rows = json.loads(held.to_json(orient="records", double_precision=15))
    with Server(home) as server:
        server.logged("plan loaded", model="wine")
        answer = server.predict(rows, "wine")["predictions"]
        assert server.stop() == 0
    found = [list(item["probabilities"].values()) for item in answer]
    assert found == expected
