"""The same search on this machine and on Ray: same answer, and nothing left behind."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_assets.ml.engines import EngineError
from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.prepare import prepare
from ml_assets.ml.synthetic import synthetic
from ml_assets.ml.tables import tidy
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.ray import MARK, kill_marked, marked, ray_cluster

pytestmark = pytest.mark.slow
TOKEN = secrets.token_hex(32)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ray_cluster(TOKEN) as found:
        yield found


@pytest.fixture
def on_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)


def search(engine: str, **overrides: Any) -> Trained:
    """A search over 6 candidates on 2,000 rows."""
    space = {"max_depth": [2, 4, 8], "learning_rate": [0.05, 0.1, 0.3]}
    search = {"engine": engine, "params": space, "iterations": 6} | overrides
    spec = ModelSpec.model_validate(
        {
            "name": "churn",
            "source": {"type": "synthetic"},
            "target": "churned",
            "estimator": {"params": {"max_iter": 20}},
            "search": search,
        }
    )
    raw = tidy(synthetic(2_000, 0, 0.0))
    return train(prepare(raw, spec.features, spec.target).table, spec)


@pytest.mark.parametrize("kind", ["randomized", "halving"])
def test_a_cluster_finds_what_this_machine_finds(on_cluster: None, kind: str) -> None:
    here, there = search("local", type=kind), search("ray", type=kind)

    assert there.workers is not None
    assert (there.workers.engine, there.workers.count) == ("ray", 2)
    # As texts, because halving gives NaN to candidates of its first small rounds.
    assert repr(there.candidates) == repr(here.candidates)
    assert there.params == here.params
    np.testing.assert_array_equal(
        there.pipeline.predict_proba(there.x_test),
        here.pipeline.predict_proba(here.x_test),
    )


def test_a_candidate_that_cannot_be_fitted_is_reported_as_on_this_machine(
    on_cluster: None,
) -> None:
    for engine in ("local", "ray"):
        with pytest.raises(EstimatorError, match="cannot be fitted.*'max_depth'"):
            search(engine, params={"max_depth": [-3]}, iterations=1)


def test_a_cluster_with_another_token_is_reported(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a process of its own, because Ray reads the token once.
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another" * 6)
    done = subprocess.run(
        [sys.executable, "-c", SEARCH],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert (
        EngineError.__name__ in message and "must be those of this process" in message
    )
    assert "another" not in message


SEARCH = """
import json
from ml_assets_tests.integration.test_search_engines import search
trained = search("ray", iterations=9)
print(json.dumps([trained.workers.count, trained.candidates[0].mean]))
"""


def start_search(mark: str) -> subprocess.Popen[str]:
    """A search on a Ray of its own, in a process that can be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_ray_of_its_own_is_stopped_after_the_search() -> None:
    mark = secrets.token_hex(8)
    before = set(Path("/tmp").glob("ray-*"))  # nosec B108
    process = start_search(mark)
    out, _ = process.communicate(timeout=180)
    count, score = json.loads(out)

    assert process.returncode == 0 and count >= 1
    assert score == search("local", iterations=9).candidates[0].mean
    await_true(lambda: not marked(mark), "Ray's processes ended", 30)
    assert set(Path("/tmp").glob("ray-*")) <= before  # nosec B108


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_search_that_is_killed_leaves_no_process(kind: signal.Signals) -> None:
    mark = secrets.token_hex(8)
    process = start_search(mark)
    try:
        await_true(
            lambda: any("ray::PoolActor" in text for text in marked(mark).values()),
            "candidates are fitted",
        )
        process.send_signal(kind)
        process.wait(60)
        # Two agents of Ray tell of the end of its raylet before they go, and give up
        # after 60 s where nobody is left to hear it.
        await_true(lambda: not marked(mark), "Ray's processes ended", 120)
    finally:
        kill_marked(mark)


def test_a_version_names_its_search_and_another_engine_makes_no_other(
    make_spec: Callable[..., Any], run_job: Callable[..., Any], home: Path
) -> None:
    space = {"max_depth": [2, 4], "learning_rate": [0.1]}
    given = {"params": space, "iterations": 2, "folds": 2}
    result = run_job(make_spec(search=given), "train")
    assert result.success, failure_of(result)
    (event,) = result.asset_materializations_for_node("churn__model")
    shown = event.metadata["search"].value
    assert (shown["engine"], shown["candidates"]) == ("local", 2)
    assert shown["workers"] >= 1
    (record,) = Versions().records("churn")
    assert record.search == shown

    again = run_job(make_spec(search={"engine": "ray", **given}), "train")

    assert again.success, failure_of(again)
    assert Versions().names("churn") == [record.version]
