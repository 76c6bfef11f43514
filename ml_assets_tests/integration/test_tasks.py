"""Each task from YAML through training, evaluation, gate and deployment."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.components import TabularClassifier
from ml_assets.lifecycle.reproduce import reproduce
from ml_assets.spec import model_file
from ml_assets.state.bundles import signature_of_version
from ml_assets.state.plans import Plans
from ml_assets.state.versions import PROFILE, Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.tasks import DIABETES, PLOTS, WINE, spec_in

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.mark.parametrize("text", [WINE, DIABETES], ids=["multiclass", "regression"])
def test_a_model_of_each_task_is_trained_judged_and_deployed(
    run_job: Run, home: Path, tmp_path: Path, text: str
) -> None:
    spec = spec_in(tmp_path, text)
    done = run_job(spec, "train")
    assert done.success, failure_of(done)
    versions = Versions()
    version = versions.names(spec.name)[-1]
    record = versions.get(spec.name, version)
    signature = signature_of_version(record)
    found = versions.evaluation(spec.name, version)
    assert found is not None and found["gate"]["passed"], found["gate"]["reason"]
    names = {file.stem for file in home.rglob(f"{version}/plots/*.png")}
    assert names == {*PLOTS[spec.name], "importance"}
    if spec.name == "wine":
        assert signature.task == "multiclass"
        assert signature.classes == ("class_0", "class_1", "class_2")
        assert found["metrics"]["accuracy"] > 0.9
        assert "majority class" in found["gate"]["reason"]
    else:
        assert signature.task == "regression" and signature.labels == ()
        assert 30 < found["metrics"]["mae"] < 55
        reason = found["gate"]["reason"]
        assert "is below 60" in reason
        assert "of the mean and the median of training, beyond chance" in reason

    done = run_job(spec, "deploy")
    assert done.success, failure_of(done)
    plan = Plans().current(spec.name)
    assert plan is not None and plan.live.version == version
    profile = versions.document(spec.name, version, PROFILE)
    assert profile is not None
    named = {"wine": "confidence", "diabetes": "predicted value"}
    assert profile["prediction"] == named[spec.name]


def orders(rows: int, classes: str) -> pd.DataFrame:
    random = np.random.default_rng(3)
    kind = np.arange(rows) % len(classes)
    return pd.DataFrame(
        {
            "size": kind + random.normal(scale=0.2, size=rows),
            "weight": random.normal(size=rows),
            "queue": [classes[number] for number in kind],
        }
    )


def test_classes_are_those_of_the_first_training(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    spec = TabularClassifier.model_validate(
        {
            "name": "tickets",
            "source": {"type": "csv", "path": str(path)},
            "target": "queue",
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
        }
    )

    def week(frame: pd.DataFrame, **more: Any) -> dg.ExecuteInProcessResult:
        frame.to_csv(path, index=False)
        return run_job(spec.model_copy(update=more), "train", raise_on_error=False)

    assert week(orders(300, "cba")).success
    (first,) = Versions().names("tickets")
    signature = signature_of_version(Versions().get("tickets", first))
    assert signature.classes == ("a", "b", "c")

    # Another order of the rows and another most frequent class change no number.
    assert week(pd.concat([orders(300, "cba"), orders(60, "c")])).success
    second = Versions().names("tickets")[-1]
    assert second != first
    other = signature_of_version(Versions().get("tickets", second))
    assert other.classes == signature.classes

    new = week(pd.concat([orders(300, "cba"), orders(90, "d")]))
    assert not new.success
    assert "the class 'd' is new since the first training" in findings(new)
    gone = week(orders(400, "ab"))
    assert "the class 'c' has no row any more" in findings(gone)
    assert Versions().names("tickets")[-1] == second


def findings(done: dg.ExecuteInProcessResult) -> str:
    return " ".join(
        str(item.description) + " " + str(item.metadata)
        for item in done.get_asset_check_evaluations()
    )


def test_wrong_keys_of_a_regressor_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(
        DIABETES.replace("metric: mae, below: 60", "metric: accuracy")
        + "  positive: 1\n"
    )
    (document,) = model_file.read(file)
    found = {
        item.key: (item.line, item.message) for item in model_file.problems(document)
    }
    line, message = found["attributes.gate.metric"]
    assert line == 8 and "accuracy is no metric of regression" in message
    assert found["attributes.positive"][0] == 9


def test_an_interval_makes_another_version_that_reproduces(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    for interval in ("", "  interval: 0.8\n", "  interval: 0.9\n"):
        spec = spec_in(tmp_path, DIABETES + interval)
        for job in ("train", "deploy"):
            done = run_job(spec, job)
            assert done.success, failure_of(done)
    versions = Versions()
    records = [versions.get("diabetes", name) for name in versions.names("diabetes")]
    none, narrow, wide = (signature_of_version(record).interval for record in records)
    assert none is None and narrow is not None and wide is not None
    assert (narrow.level, wide.level) == (0.8, 0.9)
    assert narrow.half_width < wide.half_width
    plan = Plans().current("diabetes")
    assert plan is not None and plan.live.version == records[-1].version
    found = versions.evaluation("diabetes", plan.live.version)
    assert found is not None
    assert 0.8 < found["metrics"]["coverage"] <= 1
    assert found["metrics"]["interval_width"] == 2 * wide.half_width
    assert any("interval: the value" in note for note in records[-1].notes)
    assert reproduce("diabetes", plan.live.version).identical


def claims(rows: int, seed: int) -> pd.DataFrame:
    """Claims of which one in a hundred is a fraud, with an amount each."""
    random = np.random.default_rng(seed)
    fraud = random.random(rows) < 0.01
    return pd.DataFrame(
        {
            "speed": random.normal(2.5 * fraud, 1.0).round(6),
            "distance": random.normal(size=rows).round(6),
            "claim_value": random.lognormal(5.0, 1.0, rows).round(2),
            "fraud": np.where(fraud, "yes", "no"),
        }
    )


FRAUD = """
type: ml_assets.components.TabularClassifier
attributes:
  name: fraud
  source: {type: csv, path: PATH}
  target: fraud
  estimator: {type: sklearn.linear_model.LogisticRegression}
  decision:
    threshold: tuned
    costs: {false_positive: 5, false_negative: 100}
    amount: claim_value
    amount_bound: 2000
  gate: {metric: expected_cost, below: 2.5}
"""


def test_a_version_with_costs_is_judged_by_them_and_decides_at_its_threshold(
    run_job: Run, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "claims.csv"
    claims(8_000, 0).to_csv(path, index=False)
    spec = spec_in(tmp_path, FRAUD.replace("PATH", str(path)))
    for job in ("train", "deploy"):
        done = run_job(spec, job)
        assert done.success, failure_of(done)
    versions = Versions()
    (first,) = versions.names("fraud")
    threshold = signature_of_version(versions.get("fraud", first)).threshold
    assert 0.005 < threshold < 0.2
    found = versions.evaluation("fraud", first)
    assert found is not None
    metrics, reason = found["metrics"], found["gate"]["reason"]
    assert metrics["expected_cost"] < found["figures"]["majority"]["expected_cost"]
    assert "of the best constant decision, beyond chance" in reason
    assert found["evaluation"]["threshold"] == threshold
    assert list(home.rglob(f"{first}/plots/expected_cost.png"))

    shown = invoke("predict", "fraud", str(path), "--ignore-unknown", "--output", "csv")
    assert shown.exit_code == 0, shown.output
    answers = pd.read_csv(io.StringIO(shown.stdout))
    above = answers["probability"] > threshold
    assert (answers["label"] == np.where(above, "yes", "no")).all()
    assert (above & (answers["probability"] < 0.5)).any()

    # The same probabilities at another threshold are another version, judged by cost.
    decision = spec.decision.model_copy(update={"threshold": 0.9, "folds": 5})
    assert run_job(spec.model_copy(update={"decision": decision}), "train").success
    second = versions.names("fraud")[-1]
    assert second != first
    found = versions.evaluation("fraud", second)
    assert found is not None and not found["gate"]["passed"]
    reason = found["gate"]["reason"]
    assert f"of the champion {first}" in reason and "expected cost" in reason


def test_a_decision_is_of_two_classes(run_job: Run, home: Path, tmp_path: Path) -> None:
    spec = spec_in(tmp_path, WINE + "  decision: {threshold: 0.3}\n")
    done = run_job(spec, "train")
    assert not done.success
    expected = "decision is of a target with two values, and 'target' is multiclass"
    assert expected in failure_of(done)
