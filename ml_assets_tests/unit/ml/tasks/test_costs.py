"""Costs of wrong decisions, and the threshold at which they are least."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.gate import Gate
from ml_assets.ml.tasks import Binary, deciding_as
from ml_assets.ml.tasks.costs import Costs, least_cost_threshold, mean_costs
from ml_assets.spec.gate import GateSpec

CLAIMS = Costs(5, 10, amount="claim", bound=1_000)
FRAUD = Binary("no", "yes", 0.2, Costs(5, 400))


def rows(*claims: float | None) -> pd.DataFrame:
    return pd.DataFrame({"claim": pd.Series(claims, dtype="float64")})


def sample(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    random = np.random.default_rng(seed)
    y = (random.random(n) < 0.1).astype(np.int64)
    p = np.round(np.clip(random.normal(0.2 + 0.3 * y, 0.2), 0, 1), 2)
    return y, p, rows(*random.lognormal(4, 2, n))


def test_a_missed_positive_costs_its_amount_up_to_the_bound() -> None:
    costs = CLAIMS.with_rows(rows(30, 5_000, None, -7, 50))
    y, decided = np.array([1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 1])
    assert costs.of(y, decided).tolist() == [40, 1_010, 10, 10, 5]
    assert costs.of(y, y).tolist() == [0] * 5


@pytest.mark.parametrize(
    "table, message",
    [
        (
            pd.DataFrame({"other": [1]}),
            "is 'claim', which is none of the columns other",
        ),
        (pd.DataFrame({"claim": ["much"]}), "must hold numbers, found the type"),
    ],
)
def test_rows_without_an_amount_are_refused(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        CLAIMS.with_rows(table)


def test_amounts_of_other_rows_are_refused() -> None:
    costs = CLAIMS.with_rows(rows(1, 2, 3))
    with pytest.raises(ValueError, match="'claim' of 2 rows, found 3"):
        costs.of(np.array([0, 1]), np.array([0, 0]))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_costs_less_than_the_tuned_one(seed: int) -> None:
    y, p, claims = sample(seed)
    costs = CLAIMS.with_rows(claims)
    found = least_cost_threshold(y, p, costs)
    assert 0 < found < 1 and found not in p
    others = np.linspace(0.0005, 0.9995, 1_000)
    by_hand = [costs.of(y, p > threshold).mean() for threshold in others]
    assert np.allclose(mean_costs(y, p, costs, others), by_hand)
    assert costs.of(y, p > found).mean() <= min(by_hand) + 1e-9


@pytest.mark.parametrize("p", [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.4, 0.4]])
def test_a_tuned_threshold_is_between_0_and_1(p: list[float]) -> None:
    for y in ([0, 0], [0, 1], [1, 1]):
        found = least_cost_threshold(np.array(y), np.array(p), Costs(1, 1))
        assert 0 < found < 1


def test_losses_are_shares_of_the_largest_possible_cost() -> None:
    y, p, claims = sample(0)
    task = replace(FRAUD, costs=CLAIMS).with_rows(claims)
    losses = task.losses(y, p)
    assert 0 <= losses.min() and losses.max() <= 1
    assert task.losses(np.array([1] * 300), np.zeros(300)).max() == 1
    assert FRAUD.losses(np.array([1, 0, 1]), np.array([0.1, 0.3, 0.3])).tolist() == [
        1,
        5 / 400,
        0,
    ]
    assert (FRAUD.scale.name, Binary("no", "yes").scale.name) == ("cost", "error")


def test_expected_cost_is_beside_that_of_the_best_constant_decision() -> None:
    y = np.array([0] * 97 + [1] * 3)
    p = np.where(y == 1, 0.25, 0.1)
    found = FRAUD.evaluate(y, p)
    assert found.metrics["expected_cost"] == 0
    # To flag all costs 97 times 5, and none 3 times 400.
    assert found.majority["expected_cost"] == 4.85
    missed = replace(FRAUD, threshold=0.5).evaluate(y, p)
    assert missed.metrics["expected_cost"] == 12
    assert "expected_cost" not in Binary("no", "yes").evaluate(y, p).metrics


def test_an_answer_that_is_no_number_has_no_cost() -> None:
    found = FRAUD.evaluate(np.array([0, 1]), np.array([0.1, np.nan]))
    assert np.isnan(found.metrics["expected_cost"])
    assert found.chance["expected_cost"] == 1


def decided(threshold: float, **champion: Any) -> tuple[bool, str]:
    y, p, _ = sample(1, 2_000)
    found = Binary("no", "yes", threshold, Costs(5, 40)).evaluate(y, p)
    spec = GateSpec(metric="expected_cost", below=3.5)
    decision = Gate(spec).decide(found.gate_figures(**champion))
    return decision.passed, decision.reason


def test_the_gate_asks_for_less_cost_than_any_constant_decision() -> None:
    passed, reason = decided(0.35)
    assert passed, reason
    assert "is below 3.5; expected cost" in reason
    assert "of the best constant decision, beyond chance" in reason
    passed, reason = decided(0.9)
    assert not passed and "is not below 3.5" in reason


def test_the_gate_keeps_a_champion_that_costs_less() -> None:
    given = {"champion": "v1", "champion_metrics": {"expected_cost": 0.5}}
    passed, reason = decided(0.35, **given)
    assert not passed
    assert "is above" in reason and "of the champion v1" in reason


def threshold(task: Binary, other: Binary) -> float:
    found = deciding_as(task, other)
    assert isinstance(found, Binary)
    return found.threshold


def test_a_version_decides_by_its_own_threshold_in_the_classes_of_another() -> None:
    same, other = Binary("0", "1", 0.3), Binary("1", "0", 0.3)
    assert threshold(FRAUD, replace(FRAUD, threshold=0.7)) == 0.7
    assert threshold(Binary(0, 1), same) == 0.3
    assert threshold(Binary(0, 1), other) == 0.7


def test_costs_come_back_from_the_profile_and_come_first_live():
    y, p, claims = sample(5)
    task = Binary("no", "yes", 0.3, CLAIMS).with_rows(claims)
    profile = json.loads(json.dumps(task.bounds(y, p)))

    again = Binary("no", "yes", 0.3).with_loss_of(profile)
    figures = again.with_rows(claims).live(y, p, 0.95)

    assert again == Binary("no", "yes", 0.3, CLAIMS)
    assert [*figures] == ["expected_cost", "accuracy", "roc_auc"]
    expected = task.evaluate(y, p).metrics["expected_cost"]
    assert figures["expected_cost"].value == pytest.approx(expected)
    assert again.with_loss_of({}).costs is None


@pytest.mark.parametrize("misses, degraded", [(0.2, False), (0.9, True)])
def test_a_version_that_costs_more_than_promised_is_degraded(misses, degraded):
    random = np.random.default_rng(6)

    def week(share: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
        y = (random.random(n) < 0.02).astype(np.int64)
        return y, np.where(y & (random.random(n) > share), 0.9, 0.1)

    profile = FRAUD.bounds(*week(0.2))
    # Accuracy hardly moves, and is not what is promised.
    offline = {**profile, "accuracy": 0.999, "rows": 20_000.0, "roc_auc_low": math.nan}
    (found,) = FRAUD.degradations(*week(misses), offline)
    assert found.degraded == degraded
    assert found.sentence.startswith("live mean cost ")
