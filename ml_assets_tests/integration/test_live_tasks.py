"""Four models that nobody here made, from YAML to a rollback.

They are trained, served, labelled, compared, watched and returned.
"""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from ml_assets.assets.performance import assess
from ml_assets.lifecycle.scoring import load, score, task_of_version
from ml_assets.state.bundles import signature_of_version
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server
from ml_assets_tests.kits.tasks import DIABETES, WINE, spec_in

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
SHADOW = "  serving: {strategy: shadow, minimum_requests: 20}\n"
ADULT = """
type: ml_assets.components.TabularClassifier
attributes:
  name: adult
  source:
    type: csv
    path: ${ML_ASSETS_TEST_DATA}/adult-train.csv
    read:
      header: false
      columns: [age, workclass, weight, education, years, marital, occupation, relation,
        race, sex, gain, loss, hours, country, income]
  target: income
  features: {drop: [weight]}
  estimator: {type: sklearn.ensemble.HistGradientBoostingClassifier}
  gate: {beat_champion: false}
  monitoring: {slices: [sex]}
"""
# A customer who leaves unnoticed costs five times a call in vain.
TELCO = """
type: ml_assets.components.TabularClassifier
attributes:
  name: telco
  source: {type: csv, path: "${ML_ASSETS_TEST_DATA}/telco_customer_churn.csv"}
  target: Churn
  features: {drop: [customerID]}
  columns: {SeniorCitizen: category}
  estimator: {type: sklearn.ensemble.HistGradientBoostingClassifier}
  decision: {threshold: tuned, costs: {false_positive: 1, false_negative: 5}}
  gate: {metric: expected_cost, below: 0.7, beat_champion: false}
"""
BOOSTED = "ensemble.HistGradientBoostingRegressor"
FEW = "  gate: {metric: accuracy, threshold: 0.6, beat_champion: false}\n"
TEXTS = {
    "wine": WINE + FEW + SHADOW,
    # A sum of products has other last bits for one row than for many.
    "diabetes": DIABETES.replace(
        "below: 60", "below: 70, beat_champion: false"
    ).replace("linear_model.Ridge, params: {alpha: 0.1}", BOOSTED)
    + "  interval: 0.9\n"
    + SHADOW,
    "adult": ADULT + SHADOW,
    "telco": TELCO + SHADOW,
}
# By the first version; the second is the better one of the YAML.
POOR = {
    "wine": "{type: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 2}}",
    "diabetes": "{type: sklearn.tree.DecisionTreeRegressor, params: {max_depth: 2}}",
    "adult": "{type: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 3}}",
    "telco": "{type: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 2}}",
}
# What the task has of its own: live figures, a label that is refused, what the
# decision is about, and names of drifted predictions.
OWN: dict[str, dict[str, Any]] = {
    "wine": {
        "figures": ["accuracy", "balanced_accuracy", "f1_macro", "log_loss"],
        "refused": "class_9",
        "decision": "labels the models differ on",
        "live": "live accuracy",
        "drifted": "confidence",
        "shift": "alcohol",
    },
    "diabetes": {
        "figures": ["mae", "rmse", "r2", "coverage"],
        "refused": "many",
        "decision": "mean absolute error clipped at",
        "live": ", clipped at 182, over",
        "drifted": "predicted value",
        "shift": "bmi",
    },
    "adult": {
        "figures": ["accuracy", "roc_auc"],
        "refused": "rich",
        "decision": "labels the models differ on",
        "live": "live accuracy",
        "drifted": "probability",
        "shift": "age",
    },
    "telco": {
        "figures": ["expected_cost", "accuracy", "roc_auc"],
        "refused": "maybe",
        "decision": "mean cost",
        "live": "cost",
        "drifted": "probability",
        "shift": "tenure",
    },
}
TARGETS = {"adult": "income", "telco": "Churn"}
# Of larger tables, so many rows are sent.
SENT = 2_000
A_REQUEST = 16


def answered(server: Server, model: str, rows: pd.DataFrame) -> list[dict[str, Any]]:
    given = rows.to_dict("records")
    return [
        item
        for start in range(0, len(given), A_REQUEST)
        for item in server.predict(given[start : start + A_REQUEST], model)[
            "predictions"
        ]
    ]


def feed_back(server: Server, model: str, labels: list[dict[str, Any]]) -> int:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/feedback",
        json.dumps({"model": model, "labels": labels}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def metadata_of(done: dg.ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    (event,) = [
        e
        for e in done.get_asset_materialization_events()
        if e.asset_key is not None and e.asset_key.path[-1] == stage
    ]
    return {name: v.value for name, v in event.materialization.metadata.items()}


def check_of(done: dg.ExecuteInProcessResult, name: str) -> tuple[bool, str]:
    (found,) = [e for e in done.get_asset_check_evaluations() if e.check_name == name]
    return bool(found.passed), str(found.description)


def live(model: str) -> str:
    plan = Plans().current(model)
    assert plan is not None
    return plan.live.version


class Sent(NamedTuple):
    """Rows as the source has them, as training reads them, and their target."""

    raw: pd.DataFrame
    read: pd.DataFrame
    truth: list[Any]


def sent(name: str, version: str) -> Sent:
    """Rows for requests: all of a small table twice, or some of a large one."""
    tables, record = Tables(), Versions().get(name, version)
    raw = tables.read(name, "raw", record.raw_version)
    read = tables.read(name, "features", record.features_version)
    assert len(raw) == len(read)
    rows = np.tile(np.arange(len(raw)), 2)
    if len(raw) > SENT:
        rows = np.random.default_rng(0).choice(len(raw), SENT, replace=False)
    columns = [column.name for column in signature_of_version(record).columns]
    truth = raw[TARGETS.get(name, "target")].iloc[rows].tolist()
    raw, read = (table.iloc[rows].reset_index(drop=True) for table in (raw, read))
    return Sent(raw[columns], read[columns], truth)


@pytest.mark.parametrize("name", TEXTS)
def test_a_model_lives_from_its_yaml_to_a_rollback(
    run_job: Run, home: Path, tmp_path: Path, name: str
) -> None:
    own, text = OWN[name], TEXTS[name]
    assert len(text.splitlines()) <= 60
    if "ML_ASSETS_TEST_DATA" in text and "ML_ASSETS_TEST_DATA" not in os.environ:
        pytest.skip("needs the data that ML_ASSETS_TEST_DATA names")

    def run(spec: Any, job: str) -> dg.ExecuteInProcessResult:
        done = run_job(spec, job)
        assert done.success, failure_of(done)
        return done

    poor = re.sub("estimator: .*", f"estimator: {POOR[name]}", text)
    for given in (poor, text):
        spec = spec_in(tmp_path, given)
        run(spec, "train")
        run(spec, "deploy")
    first, second = Versions().names(name)
    plan = Plans().current(name)
    assert plan is not None
    assert [(arm.version, arm.mode) for arm in plan.arms] == [
        (first, "live"),
        (second, "shadow"),
    ]

    # Served and labelled.
    table, read, truth = sent(name, first)
    rows = table.astype(object).where(table.notna(), None)
    with Server(home) as server:
        await_true(
            lambda: server.get("/v2/health/ready")[0] == 200, "the server is ready"
        )
        predictions = answered(server, name, rows)
        ids = [item["id"] for item in predictions]
        labels = [{"id": i, "label": v} for i, v in zip(ids, truth, strict=True)]
        assert feed_back(server, name, labels) == 202
        odd = [{"id": ids[0], "label": own["refused"]}]
        assert feed_back(server, name, odd) == 422
        assert server.stop() == 0
    assert_answers(predictions, spec, first, read)

    # The better version is promoted by the loss of the task.
    done = run(spec, "monitor")
    shown = metadata_of(done, "experiment")
    assert shown["verdict"] == "promote", shown["finding"]
    assert shown["labels"] == len(ids)
    assert own["decision"] in shown["finding"]
    entry = Ledger().entries(name)[-1]
    assert entry.kind == "promotion" and own["decision"] in entry.why
    assert live(name) == second

    # Live figures, held against those of evaluation.
    shown = metadata_of(done, "performance")
    assert shown["joined"] == len(ids)
    main = own["figures"][0]
    assert {*own["figures"], f"offline_{main}", f"plot_{main}"} <= shown.keys()
    if name == "diabetes":
        assert shown["expected_coverage"] == 0.9 and 0.5 < shown["coverage"] <= 1
    whole = [p for p in assess(spec).periods if p.day is None]  # type: ignore
    assert [(p.version, p.n) for p in whole] == [(first, len(ids)), (second, len(ids))]
    decided = [item.get("label", item.get("value")) for item in predictions]
    pairs = list(zip(decided, truth, strict=True))
    assert whole[0].figures[main].value == pytest.approx(figure(main, pairs))
    assert check_of(done, "drift")[0], check_of(done, "drift")[1]

    # Requests that moved, and truths with them.
    shifted = table[own["shift"]]
    by = 5 * shifted.std()
    by = round(by) if pd.api.types.is_integer_dtype(shifted) else by
    moved = rows.assign(**{own["shift"]: shifted + by})
    with Server(home) as server:
        await_true(
            lambda: server.get("/v2/health/ready")[0] == 200, "the server is ready"
        )
        predictions = answered(server, name, moved)
        labels = [
            {
                "id": item["id"],
                "label": (
                    item["value"] + 400 if name == "diabetes" else wrong(item, truth)
                ),
            }
            for item in predictions
        ]
        assert feed_back(server, name, labels) == 202
        assert server.stop() == 0
    moved_as_read = read.assign(**{own["shift"]: read[own["shift"]] + by})
    assert_answers(predictions, spec, second, moved_as_read)
    done = run(spec, "monitor")
    passed, sentence = check_of(done, "drift")
    assert not passed and own["shift"] in sentence
    assert own["drifted"] in metadata_of(done, "drift")["columns"]
    passed, sentence = check_of(done, "performance")
    assert not passed and own["live"] in sentence

    run(spec, "rollback")
    assert live(name) == first
    assert "rollback" in [entry.kind for entry in Ledger().entries(name)[-2:]]


def wrong(item: dict[str, Any], truth: list[str]) -> str:
    """A class that the answer is not."""
    return next(label for label in truth if label != item["label"])


def figure(name: str, pairs: list[tuple[Any, Any]]) -> float:
    """The figure of decisions and what turned out."""
    if name == "mae":
        return float(mean_absolute_error(*zip(*pairs)))
    if name == "accuracy":
        return sum(one == other for one, other in pairs) / len(pairs)
    costs = {("Yes", "No"): 1, ("No", "Yes"): 5}
    return sum(costs.get(pair, 0) for pair in pairs) / len(pairs)


def assert_answers(
    predictions: list[dict[str, Any]], spec: Any, version: str, rows: pd.DataFrame
) -> None:
    """The server's answers are the library's own, to the last bit."""
    record = Versions().get(spec.name, version)
    task = task_of_version(spec, record)
    found = score(task, load(record), rows)
    given = {
        "binary": [item.get("probability") for item in predictions],
        "multiclass": [
            [*item.get("probabilities", {}).values()] for item in predictions
        ],
        "regression": [item.get("value") for item in predictions],
    }[task.name]
    assert given == found.tolist()
    if spec.decision is not None:
        assert 0 < task.threshold < 0.4  # type: ignore[attr-defined]
    if task.labels:
        labels = [task.labels[number] for number in task.decide(found)]
        assert [item["label"] for item in predictions] == labels
