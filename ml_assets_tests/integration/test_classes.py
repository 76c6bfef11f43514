"""What ``probability`` means is settled by the first training."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.state import contracts
from ml_assets.state.bundles import served_signature
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

Run = Callable[..., dg.ExecuteInProcessResult]


def week(path: Path, share: float, seed: int, rows: int = 400) -> None:
    """Rows in which `x` predicts `bought`; a share of them is yes."""
    random = np.random.default_rng(seed)
    yes = np.arange(rows) < share * rows
    x = random.normal(np.where(yes, 2.0, -2.0), 1.0)
    bought = np.where(yes, "yes", "no")
    frame = pd.DataFrame({"x": x, "other": random.normal(size=rows), "bought": bought})
    frame.sample(frac=1, random_state=seed).to_csv(path, index=False)


def model(path: Path, **more: Any) -> TabularClassifier:
    return TabularClassifier.model_validate(
        {
            "name": "basket",
            "source": {"type": "csv", "path": str(path)},
            "target": "bought",
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            **more,
        }
    )


def answer(home: Path, x: float) -> float:
    """The probability that the version in service gives for a row."""
    plan = Plans().current("basket")
    assert plan is not None
    record = Versions().get("basket", plan.live.version)
    runtime = load_runtime(home / record.bundle, record.files)
    names = [column.name for column in runtime.signature.columns]
    row: dict[str, Any] = {"x": x, "other": 0.0}
    return float(runtime.predict_one([row[name] for name in names]))


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.47, 0.53), (0.5, 0.51, 0.49)])
def test_probability_means_the_same_in_every_week(
    shares: tuple[float, ...], run_job: Run, home: Path, tmp_path: Path
) -> None:
    path, answers, positives = tmp_path / "rows.csv", [], []
    for number, share in enumerate(shares):
        week(path, share, seed=number)
        spec = model(path, gate={"beat_champion": False})
        assert run_job(spec, "train").success
        assert run_job(spec, "deploy").success
        signature = served_signature("basket")
        assert signature is not None
        positives.append(signature.positive)
        answers.append(answer(home, 3.0) > 0.5)
    assert len(Versions().names("basket")) == len(shares)
    assert len(set(positives)) == 1
    assert len(set(answers)) == 1


def test_a_champion_is_scored_in_its_own_classes(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    week(path, 0.47, seed=1)
    spec = model(path)
    run_job(spec, "train")
    run_job(spec, "deploy")
    week(path, 0.53, seed=2)
    # Whoever swaps the classes on purpose sets `positive`, and is compared rightly.
    turned = model(path, positive="no")
    assert run_job(turned, "train").success
    store = Versions()
    newest = store.names("basket")[-1]
    evaluation = store.evaluation("basket", newest)
    assert evaluation is not None
    clauses = {clause["name"]: clause for clause in evaluation["gate"]["clauses"]}
    assert evaluation["metrics"]["accuracy"] > 0.9
    figures = re.findall(r"0\.\d{4}", clauses["champion"]["sentence"])
    # In the classes of the other it has them all the wrong way round.
    assert figures and min(map(float, figures)) > 0.85, clauses


# Each of the processes has read that nothing is recorded before any of them records.
TOGETHER = """
import multiprocessing, sys
from pathlib import Path
from ml_assets.ml.tasks import Binary
from ml_assets.state import pinned
from ml_assets_tests.integration.test_classes import model

fork = multiprocessing.get_context("fork")
results, together = fork.Queue(), fork.Barrier(4)

write = pinned.writing

def write_together(subject):
    together.wait(60)
    return write(subject)

def pin(positive):
    pinned.writing = write_together
    negative = {"yes": "no", "no": "yes"}[positive]
    classes = Binary(negative, positive)
    results.put(pinned.pin_task(model(Path(sys.argv[1])), classes))

processes = [fork.Process(target=pin, args=(p,)) for p in ("yes", "no", "yes", "no")]
for process in processes:
    process.start()
found = {results.get(timeout=120) for _ in processes}
for process in processes:
    process.join(120)
print(len(found))
"""


def test_two_first_trainings_at_once_take_the_same_classes(
    home: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER, str(tmp_path / "rows.csv")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_a_model_of_another_target_begins_anew(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    week(path, 0.4, seed=1)
    run_job(model(path), "train")
    frame = pd.read_csv(path).rename(columns={"bought": "left"})
    frame.assign(left=frame["left"].replace({"yes": "stays", "no": "leaves"})).to_csv(
        path, index=False
    )
    # The contract holds the columns of before, until somebody accepts those of now.
    assert not run_job(model(path, target="left"), "train").success
    contracts.accept("basket", "ana", "another target")
    assert run_job(model(path, target="left"), "train").success
    store = Versions()
    assert len(store.names("basket")) == 2


def test_a_class_that_was_renamed_is_refused_with_the_way_out(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    week(path, 0.4, seed=1)
    run_job(model(path), "train")
    frame = pd.read_csv(path)
    frame.assign(bought=frame["bought"].replace({"yes": "sold"})).to_csv(
        path, index=False
    )
    config = {"basket__raw": {"config": {}}}
    failed = run_job(model(path), "train", config)
    assert not failed.success
    assert len(Versions().names("basket")) == 1
