"""The figures of a version, held against scikit-learn's."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression

from ml_assets.ml.features import build_pipeline
from ml_assets.ml.importance import importances
from ml_assets.ml.slices import groups_of
from ml_assets.ml.tasks import Binary
from ml_assets.ml.tasks.binary_metrics import METRICS, evaluate
from ml_assets.spec.model import FeaturesSpec

GENERATOR = np.random.default_rng(0)
P = GENERATOR.random(500)
Y = (GENERATOR.random(500) < P).astype(np.int64)
NAN = math.nan

BINARY = Binary(0, 1)


@pytest.mark.parametrize(
    "name, function, argument",
    [
        ("accuracy", metrics.accuracy_score, P > 0.5),
        ("balanced_accuracy", metrics.balanced_accuracy_score, P > 0.5),
        ("f1", metrics.f1_score, P > 0.5),
        ("precision", metrics.precision_score, P > 0.5),
        ("recall", metrics.recall_score, P > 0.5),
        ("roc_auc", metrics.roc_auc_score, P),
        ("average_precision", metrics.average_precision_score, P),
        ("log_loss", metrics.log_loss, P),
        ("brier", metrics.brier_score_loss, P),
    ],
)
def test_a_metric_is_what_scikit_learn_computes(name, function, argument):
    found = evaluate(Y, P).metrics[name]

    assert found == pytest.approx(function(Y, argument), rel=1e-12)


def test_the_confusion_is_that_of_scikit_learn_at_any_threshold():
    c = evaluate(Y, P, threshold=0.3).confusion

    expected = metrics.confusion_matrix(Y, P > 0.3).ravel().tolist()
    found = [c.true_negative, c.false_positive, c.false_negative, c.true_positive]
    assert found == expected


def test_a_probability_at_the_threshold_is_not_predicted_positive():
    assert evaluate(np.array([0, 1]), np.array([0.5, 0.6])).metrics["accuracy"] == 1


def test_certain_and_wrong_costs_what_scikit_learn_says():
    y, p = np.array([0, 1]), np.array([1.0, 0.5])

    assert evaluate(y, p).metrics["log_loss"] == pytest.approx(metrics.log_loss(y, p))


@pytest.mark.parametrize(
    "y, expected",
    [
        ([0, 0, 0, 1], {"accuracy": 0.75, "f1": 0.4, "average_precision": 0.25}),
        ([0, 0, 0, 1], {"precision": 0.25, "recall": 1.0, "balanced_accuracy": 0.5}),
        ([0, 1, 1, 1], {"accuracy": 0.75, "f1": 6 / 7, "average_precision": 0.75}),
        ([0, 1], {"accuracy": 0.5, "balanced_accuracy": 0.5, "roc_auc": 0.5}),
        ([0, 0], {"accuracy": 1.0, "f1": 0.0}),
    ],
)
def test_the_best_constant_answer_sets_the_floor(y, expected):
    majority = evaluate(np.array(y), np.full(len(y), 0.1)).majority

    assert {name: majority[name] for name in expected} == pytest.approx(expected)


def test_calibration_compares_what_was_said_with_what_happened():
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    p = np.array([0.05, 0.05, 0.05, 0.05, 0.95, 0.95, 0.95, 1.0])

    evaluation = evaluate(y, p)

    first, last = evaluation.calibration[0], evaluation.calibration[-1]
    assert (first.n, first.mean_probability, first.positive_rate) == (4, 0.05, 0.25)
    assert (last.n, last.positive_rate) == (4, 0.75)
    assert sum(item.n for item in evaluation.calibration) == 8
    assert math.isnan(evaluation.calibration[4].positive_rate)
    assert evaluation.metrics["calibration_error"] == pytest.approx(
        0.5 * 0.2 + 0.5 * (0.9625 - 0.75)
    )


def test_a_well_calibrated_model_has_a_small_error():
    assert evaluate(Y, P).metrics["calibration_error"] < 0.05


def test_one_class_leaves_undefined_what_is_undefined():
    evaluation = evaluate(np.ones(4, dtype=int), np.array([0.2, 0.6, 0.7, 0.9]))

    undefined = {
        name for name, value in evaluation.metrics.items() if math.isnan(value)
    }
    assert undefined == {"balanced_accuracy", "roc_auc", "average_precision"}
    assert evaluation.metrics["accuracy"] == 0.75
    assert evaluation.majority["accuracy"] == 1


def test_no_predicted_positive_leaves_precision_undefined_and_f1_zero():
    found = evaluate(np.array([0, 1]), np.array([0.1, 0.2])).metrics

    assert math.isnan(found["precision"])
    assert found["f1"] == 0


def test_one_nan_makes_every_figure_nan_rather_than_flattering():
    p = np.array([0.1, 0.9, NAN])

    evaluation = evaluate(
        np.array([0, 1, 1]), p, slices=pd.DataFrame({"a": ["x", "x", "y"]})
    )

    assert all(math.isnan(evaluation.metrics[name]) for name in METRICS)
    assert all(math.isnan(limit) for limit in evaluation.accuracy_interval)
    assert evaluation.confusion is None
    assert evaluation.calibration == ()
    assert [row.accuracy for row in evaluation.slices][0] == 1
    assert math.isnan(evaluation.slices[1].accuracy)


@pytest.mark.parametrize("y, p", [([], []), ([0, 1], [0.5])])
def test_what_cannot_be_compared_is_refused(y, p):
    with pytest.raises(ValueError, match="as many probabilities as outcomes"):
        evaluate(np.array(y), np.array(p))


def test_groups_are_reported_apart():
    frame = pd.DataFrame(
        {"sex": pd.Categorical(["f", "m", "f", None]), "age": [30, 40, 50, 60]}
    )

    rows = evaluate(
        np.array([0, 1, 1, 1]), np.array([0.2, 0.9, 0.7, 0.3]), slices=frame[["sex"]]
    ).slices

    found = [(row.group, row.n, row.accuracy, row.positive_rate) for row in rows]
    assert found == [("f", 2, 1, 0.5), ("m", 1, 1, 1), ("missing", 1, 0, 1)]
    assert rows[0].roc_auc == 1
    assert math.isnan(rows[1].roc_auc)


@pytest.mark.parametrize(
    "values, names",
    [
        (list(range(100)), ["0 to 24", "25 to 49", "50 to 74", "75 to 99"]),
        ([3, 1, 2, 1], ["1", "2", "3"]),
        ([True, False], ["False", "True"]),
        ([0.0] * 90 + list(range(1, 12)), ["0 to 0", "1 to 11"]),
        ([1.0, NAN], ["1.0", "missing"]),
    ],
)
def test_numbers_with_many_values_are_cut_into_quarters(values, names):
    groups = list(groups_of(pd.Series(values)))

    assert [name for name, _ in groups] == names
    assert sum(rows.sum() for _, rows in groups) == len(values)


def test_the_gate_gets_the_figures_of_the_same_rows():
    evaluation = evaluate(Y, P, slices=pd.DataFrame({"half": Y}))

    figures = evaluation.gate_figures(
        champion="20261116T020000Z", champion_metrics={"accuracy": 0.7}
    )

    assert figures.n == 500
    assert figures.metrics == evaluation.metrics
    assert figures.champion_metrics == {"accuracy": 0.7}
    assert set(figures.slices["half"]) == {"0", "1"}
    assert evaluation.gate_figures().champion is None


def test_an_evaluation_is_reported_as_json_without_nan():
    value = evaluate(np.ones(3, dtype=int), np.array([0.2, 0.6, 0.7])).to_dict()

    again = json.loads(json.dumps(value, allow_nan=False))

    assert again == value
    assert again["metrics"]["roc_auc"] is None
    assert again["confusion"]["true_positive"] == 2


def test_importance_ranks_the_column_that_decides_first():
    n = 400
    frame = pd.DataFrame(
        {
            "noise": GENERATOR.normal(size=n),
            "signal": GENERATOR.normal(size=n),
            "kind": pd.Categorical(GENERATOR.choice(["a", "b"], n)),
        }
    )
    y = (frame["signal"] > 0).to_numpy(dtype=np.int64)
    pipeline = build_pipeline(frame, FeaturesSpec(), LogisticRegression()).fit(frame, y)

    found = importances(pipeline, frame, y, BINARY, rows=200)

    assert [item.column for item in found][0] == "signal"
    assert found[0].mean > 0.4 > abs(found[-1].mean)
    assert found == importances(pipeline, frame, y, BINARY, rows=200)
    assert importances(pipeline, frame, np.zeros(n, dtype=np.int64), BINARY) == []


def test_importance_is_that_of_scikit_learn():
    n = 300
    frame = pd.DataFrame(
        {
            "weak": GENERATOR.normal(size=n),
            "strong": GENERATOR.normal(size=n),
            "kind": GENERATOR.choice(["a", "b"], n),
        }
    )
    score = frame["weak"] + 3 * frame["strong"] + 2 * (frame["kind"] == "a")
    y = (score + GENERATOR.normal(size=n) > 1).to_numpy(dtype=np.int64)
    pipeline = build_pipeline(frame, FeaturesSpec(), LogisticRegression()).fit(frame, y)

    shuffled = importances(pipeline, frame, y, BINARY, repeats=50)
    found = {item.column: item for item in shuffled}
    theirs = permutation_importance(
        pipeline, frame, y, scoring="roc_auc", n_repeats=50, random_state=1
    )

    for name, mean, std in zip(
        frame.columns, theirs.importances_mean, theirs.importances_std, strict=True
    ):
        assert found[name].mean == pytest.approx(mean, abs=4 * std / 50**0.5)
        assert found[name].std == pytest.approx(std, rel=0.5)
