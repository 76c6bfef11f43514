"""What chance explains: a test per metric, on the rows of the evaluation."""

import numpy as np
import pytest

from ml_assets.ml.gate import Gate
from ml_assets.ml.tasks.binary_metrics import evaluate
from ml_assets.ml.tasks.significance import p_values
from ml_assets.spec.gate import GateSpec


def outcomes(n: int, share: float) -> np.ndarray:
    return (np.random.default_rng(3).random(n) < share).astype(np.int64)


def scores(y: np.ndarray, signal: float) -> np.ndarray:
    noise = np.random.default_rng(4).normal(size=len(y))
    return np.asarray(1 / (1 + np.exp(-(signal * (2 * y - 1) + noise))))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "precision"])
def test_a_signal_is_beyond_chance_and_noise_is_not(metric: str) -> None:
    y = outcomes(2_000, 0.4)

    assert p_values(y, scores(y, 1.0), 0.5)[metric] < 0.001
    assert p_values(y, scores(y, 1.0), 0.5)["ranking"] < 0.001
    assert p_values(y, scores(1 - y, 0.1), 0.5)[metric] > 0.05


@pytest.mark.parametrize(
    "y, p",
    [
        (np.ones(50, dtype=int), np.linspace(0, 1, 50)),
        (np.zeros(50, dtype=int), np.linspace(0, 1, 50)),
        (outcomes(50, 0.5), np.full(50, np.nan)),
        (outcomes(50, 0.5), np.zeros(50)),
        (outcomes(50, 0.5), np.ones(50)),
    ],
)
def test_what_shows_nothing_has_a_p_value_near_one(
    y: np.ndarray, p: np.ndarray
) -> None:
    assert min(p_values(y, p, 0.5).values()) >= 0.5


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_a_constant_never_passes(metric: str) -> None:
    y = outcomes(1_000, 0.36)
    gate = Gate(GateSpec.model_validate({"metric": metric, "threshold": 0.3}))

    for constant in (0.0, 0.3, 1.0):
        found = evaluate(y, np.full(len(y), constant)).gate_figures()
        assert not gate.decide(found).passed


def test_a_few_lucky_rows_do_not_pass_without_a_ranking() -> None:
    """Accuracy .0017 above the majority class, with an AUC of about .51."""
    generator = np.random.default_rng(1)
    y = (np.arange(6_000) < 676).astype(np.int64)
    p = generator.uniform(0.0, 0.4, 6_000)
    p[:12], p[700:702] = 0.6, 0.6

    found = evaluate(y, p)
    decision = Gate(GateSpec()).decide(found.gate_figures())

    assert found.metrics["accuracy"] > found.majority["accuracy"] + 0.0015
    assert found.metrics["roc_auc"] < 0.515 and found.chance["accuracy"] < 0.05
    assert not decision.passed
    assert "not beyond chance" in decision.reason
