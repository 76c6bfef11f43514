"""Live performance from joined labels."""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from ml_assets.ml.intervals import wilson
from ml_assets.ml.performance import auc_interval, by_day
from ml_assets.ml.sequential.degradation import accuracy_degraded, auc_degraded
from ml_assets.ml.tasks import Binary, Multiclass, Regression
from ml_assets.ml.tasks.costs import Costs

TASK = Binary("no", "yes")


class AnyVersion(dict):
    """The same task for every version."""

    def __missing__(self, version):
        return TASK


def joined(seed, n, version="20261123T020000Z", signal=2.0):
    """Labels over three days, and probabilities that predict them somewhat."""
    generator = np.random.default_rng(seed)
    label = generator.random(n) < 0.3
    probability = 1 / (1 + np.exp(-generator.normal(signal * (label - 0.5), 1)))
    return pd.DataFrame(
        {
            "version": version,
            "day": generator.choice(["2026-11-23", "2026-11-24", "2026-11-25"], n),
            "p": probability,
            "truth": np.where(label, "yes", "no"),
        }
    )


def test_each_version_has_its_days_and_their_total():
    frame = pd.concat([joined(0, 300), joined(1, 200, "20261130T020000Z")])

    periods = by_day(frame, AnyVersion())

    assert [(p.version[:8], p.day) for p in periods] == [
        (version, day)
        for version in ("20261123", "20261130")
        for day in ("2026-11-23", "2026-11-24", "2026-11-25", None)
    ]
    assert [p.n for p in periods if p.day is None] == [300, 200]
    assert sum(p.n for p in periods if p.day is not None) == 500


def test_figures_are_those_of_scikit_learn_with_intervals_around_them():
    frame = joined(2, 400)
    figures = by_day(frame, AnyVersion())[-1].figures

    truth = frame["truth"] == "yes"
    right = float(((frame["p"] > 0.5) == truth).mean())
    accuracy, auc = figures["accuracy"], figures["roc_auc"]
    assert accuracy.value == pytest.approx(right)
    assert (accuracy.low, accuracy.high) == wilson(right, 400)
    assert auc.value == pytest.approx(roc_auc_score(truth, frame["p"]))
    assert auc.low < auc.value < auc.high


def test_figures_of_numbers_are_those_of_scikit_learn():
    generator = np.random.default_rng(7)
    truth, value = generator.normal(size=(2, 300)) * 5
    frame = joined(7, 300).assign(value=value, truth=[repr(x) for x in truth.tolist()])

    period = by_day(frame, {"20261123T020000Z": Regression()})[-1]

    assert period.main == "mae"
    mae = period.figures["mae"]
    assert mae.value == pytest.approx(mean_absolute_error(truth, value))
    assert mae.low < mae.value < mae.high
    rmse = root_mean_squared_error(truth, value)
    assert period.figures["rmse"].value == pytest.approx(rmse)
    assert period.figures["r2"].value == pytest.approx(r2_score(truth, value))


def test_figures_of_several_classes_are_those_of_scikit_learn():
    generator = np.random.default_rng(8)
    answers = generator.dirichlet([1, 1, 1], 200)
    truth = generator.integers(0, 3, 200)
    frame = joined(8, 200).assign(probabilities=[*answers], truth=truth.astype(str))

    figures = by_day(frame, {"20261123T020000Z": Multiclass((0, 1, 2))})[-1].figures

    decided = answers.argmax(axis=1)
    assert figures["accuracy"].value == pytest.approx((decided == truth).mean())
    balanced = balanced_accuracy_score(truth, decided)
    assert figures["balanced_accuracy"].value == pytest.approx(balanced)
    macro = f1_score(truth, decided, average="macro")
    assert figures["f1_macro"].value == pytest.approx(macro)
    assert figures["log_loss"].value == pytest.approx(log_loss(truth, answers))


def test_a_label_that_is_no_class_was_answered_wrongly():
    frame = joined(9, 4).assign(
        probabilities=[np.array([0.7, 0.2, 0.1])] * 4, truth=["a", "a", "new", "new"]
    )

    figures = by_day(frame, {"20261123T020000Z": Multiclass(("a", "b", "c"))})[-1]

    assert figures.figures["accuracy"].value == 0.5
    assert figures.figures["balanced_accuracy"].value == 1.0


def test_costs_of_a_day_are_those_of_its_rows():
    days = ["2026-11-23", "2026-11-24", "2026-11-24"]
    frame = joined(9, 3).assign(day=days, p=0.1, truth=["yes", "yes", "no"])
    frame["inputs"] = [{"claim": 30.0}, {"claim": 9_000.0}, {"claim": None}]
    costs = Costs(5, 10, amount="claim", bound=1_000)

    periods = by_day(frame, {"20261123T020000Z": Binary("no", "yes", costs=costs)})

    paid = {period.day: period.figures["expected_cost"].value for period in periods}
    whole = pytest.approx(1_050 / 3)
    assert paid == {"2026-11-23": 40.0, "2026-11-24": 505.0, None: whole}


def test_a_day_with_one_class_has_accuracy_and_no_auc():
    frame = joined(3, 50).assign(truth="no")

    periods = by_day(frame, AnyVersion())

    areas = [period.figures["roc_auc"] for period in periods]
    assert all(area.value is None and area.low is None for area in areas)
    shares = [period.figures["accuracy"] for period in periods]
    assert all(0 <= share.low <= share.value for share in shares)
    json.loads(msgspec.json.encode(periods))


def test_no_labels_give_no_periods():
    assert by_day(joined(4, 10).iloc[:0], {}) == []


def test_auc_counts_ties_half():
    label = [1, 0, 1, 0, 1, 0]
    score = [0.5, 0.5, 0.7, 0.2, 0.2, 0.2]

    assert auc_interval(score, label)[0] == pytest.approx(roc_auc_score(label, score))


def test_auc_intervals_cover_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(6)
    # Normal scores one standard deviation apart.
    truth, covered = 0.7602, 0
    for _ in range(400):
        label = generator.random(150) < 0.3
        _, low, high = auc_interval(generator.normal(size=150) + label, label)
        covered += low <= truth <= high

    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(
    "score, label, low, high",
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 0.025**0.5, 1.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 0.0, 1 - 0.025**0.5),
        ([1, 1, 1, 1], [0, 0, 1, 1], 0.0, 1.0),
        ([1, 3, 2], [0, 0, 1], 0.0, 1.0),
    ],
    ids=["perfect", "inverted", "constant", "one positive"],
)
def test_auc_without_variation_has_a_wide_interval(score, label, low, high):
    _, *limits = auc_interval(score, label)

    assert limits == pytest.approx([low, high])


@pytest.mark.parametrize(
    "live, n, degraded",
    [(0.85, 5_000, False), (0.84, 5_000, False), (0.75, 1_000, True), (0.0, 30, True)],
)
def test_degradation_of_accuracy(live, n, degraded):
    right = np.random.default_rng(7).random(n) < live

    found = accuracy_degraded(right, 0.85, 10_000)

    assert found.degraded == degraded
    assert ("is below" in found.sentence) == degraded
    assert found.limit < 0.85 - 0.02


def test_a_figure_from_few_test_rows_is_trusted_less():
    right = np.random.default_rng(8).random(800) < 0.78

    assert accuracy_degraded(right, 0.87, 20_000).degraded
    assert not accuracy_degraded(right, 0.87, 100).degraded


def test_a_version_once_degraded_stays_so_until_the_opposite_is_shown():
    """One week in which clients sent another unit, and weeks of right answers after."""
    generator = np.random.default_rng(12)
    week, later = generator.random(300) < 0.6, generator.random(2_000) < 0.91
    states = [
        accuracy_degraded(np.concatenate([week, later[:n]]), 0.85, 10_000)
        for n in (0, 30, 2_000)
    ]

    assert [found.degraded for found in states] == [True, True, False]
    assert states[0].sentence.endswith("over 300 labels is below 0.8206")
    # What is judged again is what came after it had recovered.
    assert states[2].since > 300 and states[2].n == 2_300 - states[2].since
    assert "is not shown to be below" in states[2].sentence


def test_a_figure_that_is_not_below_its_limit_is_not_said_to_be():
    found = accuracy_degraded(np.repeat([False, True], [6, 30]), 0.85, 10_000)

    assert found.degraded
    assert found.sentence == (
        "live accuracy 0.8333 over 36 labels was below 0.8206 and is not shown to be"
        " above it again"
    )


@pytest.mark.parametrize("before", [0, 300, 5_000, 100_000])
@pytest.mark.parametrize("first", [[], [(300, 0.6)]], ids=["first", "second"])
def test_a_fault_is_seen_however_long_all_was_well(first, before):
    """One week of 300 labels, in which clients sent another unit."""
    generator = np.random.default_rng(13)
    parts = [*first, (2_000 if first else 0, 0.91), (before, 0.87), (300, 0.6)]
    right = np.concatenate([generator.random(n) < rate for n, rate in parts])

    assert not accuracy_degraded(right[:-300], 0.85, 10_000).degraded
    assert accuracy_degraded(right, 0.85, 10_000).degraded


def test_looking_after_every_label_raises_no_more_false_alarms_than_alpha():
    generator = np.random.default_rng(9)
    alarms = sum(
        found.degraded or found.since > 0
        for found in (
            accuracy_degraded(
                generator.random(1_000) < 0.80, 0.80, 10**9, margin=0.0, alpha=0.1
            )
            for _ in range(1_000)
        )
    )

    # Half of alpha, as the offline figure is as good as exact here.
    assert alarms <= 50


@pytest.mark.parametrize("signal, degraded", [(2.0, False), (0.6, True)])
def test_degradation_of_auc(signal, degraded):
    before, live = joined(10, 10_000), joined(11, 4_000, signal=signal)
    _, low, _ = auc_interval(before["p"], before["truth"] == "yes", confidence=0.99)

    found = auc_degraded(live["p"], live["truth"] == "yes", low)

    assert found.degraded == degraded
    assert found.n == (live["truth"] == "yes").sum()


@pytest.mark.parametrize(
    "found",
    [accuracy_degraded([], 0.85, 1_000), auc_degraded([0.5] * 9, [1] * 9, 0.9)],
    ids=["accuracy", "auc"],
)
def test_without_labels_nothing_is_shown(found):
    assert (found.n, found.degraded, found.log_e) == (0, False, 0.0)
    assert "unknown over 0" in found.sentence


def test_an_offline_figure_that_nothing_can_fall_below_is_refused():
    with pytest.raises(ValueError, match="accuracy cannot be held against"):
        accuracy_degraded([True], 0.01, 1_000)
