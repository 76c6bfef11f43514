"""Several classes: their order, their figures, and the baselines to be beaten."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.gate import Gate
from ml_assets.ml.tasks import (
    Binary,
    Multiclass,
    OtherTaskError,
    encode_target,
    in_classes_of,
)
from ml_assets.spec.gate import GateSpec

ABC = Multiclass(("a", "b", "c"))


def answered(rows: int = 600, skill: float = 2.0):
    random = np.random.default_rng(1)
    y = random.choice(3, rows, p=[0.6, 0.3, 0.1])
    scores = random.normal(size=(rows, 3)) + skill * np.eye(3)[y]
    odds = np.exp(scores)
    return y, odds / odds.sum(axis=1, keepdims=True)


def test_figures_are_those_of_scikit_learn():
    y, p = answered()
    found, decided = ABC.evaluate(y, p), p.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(y, decided),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, decided),
        "f1_macro": metrics.f1_score(y, decided, average="macro"),
        "f1_weighted": metrics.f1_score(y, decided, average="weighted"),
        "roc_auc_ovr": metrics.roc_auc_score(y, p, multi_class="ovr"),
        "log_loss": metrics.log_loss(y, p),
    }
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(y, decided))
    rows = metrics.precision_recall_fscore_support(y, decided)
    for key, values in zip(("precision", "recall", "f1", "n"), rows, strict=True):
        assert [getattr(r, key) for r in found.classes] == pytest.approx(list(values))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1_macro"])
def test_answers_that_know_nothing_pass_no_gate(metric):
    gate = Gate(GateSpec(metric=metric, threshold=0.1))
    y, p = answered()
    order = np.random.default_rng(2).permutation(len(y))
    for answers in (np.broadcast_to([0.6, 0.3, 0.1], p.shape), p[order]):
        assert not gate.decide(ABC.evaluate(y, answers).gate_figures()).passed
    assert gate.decide(ABC.evaluate(y, p).gate_figures()).passed


def test_log_loss_must_be_below_its_limit_and_that_of_the_frequencies():
    y, p = answered()
    found = ABC.evaluate(y, p).gate_figures()
    assert Gate(GateSpec(metric="log_loss", below=0.9)).decide(found).passed
    decision = Gate(GateSpec(metric="log_loss", below=0.1)).decide(found)
    assert "log loss" in decision.reason and "is not below 0.1" in decision.reason


def test_a_class_without_a_row_counts_in_no_mean():
    y, p = answered()
    kept = y < 2
    found = ABC.evaluate(y[kept], p[kept])
    assert not np.isnan(found.metrics["balanced_accuracy"])
    assert not np.isnan(found.metrics["roc_auc_ovr"])
    assert np.isnan(found.classes[2].recall)


def test_a_missing_probability_leaves_no_figure():
    y, p = answered(50)
    p[3, 1] = np.nan
    found = ABC.evaluate(y, p)
    assert all(np.isnan(value) for value in found.metrics.values())
    assert not Gate(GateSpec()).decide(found.gate_figures()).passed


@pytest.mark.parametrize(
    "values, labels",
    [
        (["c", "a", "b", "c"], ("a", "b", "c")),
        ([3, 1, 2], (1, 2, 3)),
        ([2.0, 1.0, 0.0], (0.0, 1.0, 2.0)),
    ],
)
def test_classes_are_sorted_and_stay(values, labels):
    first = encode_target(pd.Series(values, name="y"))
    assert first.task.labels == labels
    # Another week has them in another order, spelling and frequency.
    texts = pd.Series([str(value) for value in [*values[::-1], values[0]]], name="y")
    again = encode_target(texts, pinned=first.task)
    assert again.task == first.task
    assert again.y.tolist() == [*first.y[::-1], first.y[0]]


@pytest.mark.parametrize(
    "values, message",
    [
        (["a", "b", "c", "d"], "'d' is new"),
        (["a", "b"], "'c' is gone"),
        (["a", "b", "x"], "'x' is new, 'c' is gone.*the key `classes`"),
    ],
)
def test_a_class_that_comes_or_goes_is_named(values, message):
    with pytest.raises(FeatureError, match=message):
        encode_target(pd.Series(values, name="y"), pinned=ABC)


def test_classes_of_the_yaml_come_before_those_of_the_first_training():
    column = pd.Series(["a", "b", "c", "d"], name="y")
    found = encode_target(column, pinned=ABC, classes=["d", "c", "b", "a"])
    assert found.task.labels == ("d", "c", "b", "a")
    with pytest.raises(FeatureError, match="`classes` names 'a', 'b' and 'z'"):
        encode_target(column, classes=["a", "b", "z"])


def test_a_target_of_too_many_values_names_the_other_component():
    with pytest.raises(FeatureError, match="TabularRegressor"):
        encode_target(pd.Series(range(100), name="price"))


def test_an_estimator_that_lacks_a_class_gives_it_no_probability():
    x = pd.DataFrame({"a": [0.0, 1.0]})
    pipeline = DummyClassifier(strategy="prior").fit(x, [0, 2])
    assert ABC.answers(pipeline, x).tolist() == [[0.5, 0.0, 0.5]] * 2


def test_answers_are_compared_in_one_order_of_classes():
    other = Multiclass(("c", "a", "b"))
    p = np.array([[0.1, 0.7, 0.2]])
    assert in_classes_of(ABC, other, p).tolist() == [[0.7, 0.2, 0.1]]
    with pytest.raises(OtherTaskError, match="tells 'a' and 'b' apart|task is binary"):
        in_classes_of(ABC, Binary("a", "b"), np.array([0.5]))
