"""Classes and numbers after training: served, labelled, compared, watched, returned."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from ml_assets.assets.performance import assess
from ml_assets.components import TabularClassifier, TabularRegressor
from ml_assets.ml.sources.sklearn_datasets import read_sklearn_dataset
from ml_assets.spec import model_file
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
WINE = """
type: ml_assets.components.TabularClassifier
attributes:
  name: wine
  source: {type: sklearn, dataset: wine}
  target: target
  estimator: ESTIMATOR
  gate: {metric: accuracy, threshold: 0.6, beat_champion: false}
  monitoring: {slices: []}
  serving: {strategy: shadow, minimum_requests: 20}
"""
DIABETES = """
type: ml_assets.components.TabularRegressor
attributes:
  name: diabetes
  source: {type: sklearn, dataset: diabetes}
  target: target
  estimator: ESTIMATOR
  gate: {metric: mae, below: 70, beat_champion: false}
  serving: {strategy: shadow, minimum_requests: 20}
"""
POOR = {
    "wine": "{type: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 2}}",
    "diabetes": "{type: sklearn.tree.DecisionTreeRegressor, params: {max_depth: 2}}",
}
GOOD = {
    "wine": "{type: sklearn.linear_model.LogisticRegression}",
    "diabetes": "{type: sklearn.ensemble.HistGradientBoostingRegressor}",
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
        "figures": ["mae", "rmse", "r2"],
        "refused": "many",
        "decision": "mean absolute error clipped at",
        "live": ", clipped at 182, over",
        "drifted": "predicted value",
        "shift": "bmi",
    },
}


def spec_in(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "defs.yaml"
    file.write_text(text, encoding="utf-8")
    (document,) = model_file.read(file)
    kind = TabularRegressor if document.kind == "regression" else TabularClassifier
    return kind.model_validate(document.attributes)


def answered(server: Server, model: str, rows: pd.DataFrame) -> list[dict[str, Any]]:
    given = rows.to_dict("records")
    return [
        item
        for start in range(0, len(given), 16)
        for item in server.predict(given[start : start + 16], model)["predictions"]
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


@pytest.mark.parametrize(
    "name, text", [("wine", WINE), ("diabetes", DIABETES)], ids=["classes", "numbers"]
)
def test_a_model_of_each_task_lives_as_one_of_two_classes_does(
    run_job: Run, home: Path, tmp_path: Path, name: str, text: str
) -> None:
    own = OWN[name]

    def run(spec: Any, job: str) -> dg.ExecuteInProcessResult:
        done = run_job(spec, job)
        assert done.success, failure_of(done)
        return done

    for estimator in (POOR[name], GOOD[name]):
        spec = spec_in(tmp_path, text.replace("ESTIMATOR", estimator))
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
    table = read_sklearn_dataset(name)
    table = pd.concat([table] * 2, ignore_index=True)
    rows, truth = table.drop(columns="target"), table["target"].tolist()
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
    whole = [p for p in assess(spec).periods if p.day is None]  # type: ignore
    assert [(p.version, p.n) for p in whole] == [(first, len(ids)), (second, len(ids))]
    decided = [item.get("label", item.get("value")) for item in predictions]
    pairs = list(zip(decided, truth, strict=True))
    found = {
        "wine": sum(one == other for one, other in pairs) / len(ids),
        "diabetes": mean_absolute_error(*zip(*pairs)) if name == "diabetes" else None,
    }
    assert whole[0].figures[main].value == pytest.approx(found[name])
    assert check_of(done, "drift")[0], check_of(done, "drift")[1]

    # Requests that moved, and truths with them.
    moved = rows.assign(
        **{own["shift"]: rows[own["shift"]] + 5 * rows.std()[own["shift"]]}
    )
    with Server(home) as server:
        await_true(
            lambda: server.get("/v2/health/ready")[0] == 200, "the server is ready"
        )
        predictions = answered(server, name, moved)
        labels = [
            {
                "id": item["id"],
                "label": item["value"] + 400 if name == "diabetes" else wrong(item),
            }
            for item in predictions
        ]
        assert feed_back(server, name, labels) == 202
        assert server.stop() == 0
    done = run(spec, "monitor")
    passed, sentence = check_of(done, "drift")
    assert not passed and own["shift"] in sentence
    assert own["drifted"] in metadata_of(done, "drift")["columns"]
    passed, sentence = check_of(done, "performance")
    assert not passed and own["live"] in sentence

    run(spec, "rollback")
    assert live(name) == first
    assert "rollback" in [entry.kind for entry in Ledger().entries(name)[-2:]]


def wrong(item: dict[str, Any]) -> str:
    """A class that the answer is not."""
    return "class_0" if item["label"] != "class_0" else "class_1"
