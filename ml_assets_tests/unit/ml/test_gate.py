"""The gate: what deploys, what does not, and why."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from ml_assets.ml.gate import INTERFACE, Gate, digits
from ml_assets.ml.gate_figures import GateFigures, Group
from ml_assets.ml.intervals import lower_bound, wilson
from ml_assets.spec.gate import GateSpec

NAN = math.nan


def figures(accuracy=0.85, majority=0.76, champion=None, n=1_000, f1=NAN, **others):
    return GateFigures(
        n=n,
        metrics={"accuracy": accuracy, "f1": f1},
        majority={"accuracy": majority, "f1": 0.4},
        champion=None if champion is None else "20261116T020000Z",
        champion_metrics={} if champion is None else {"accuracy": champion},
        **others,
    )


@pytest.mark.parametrize(
    "given, passed, reason",
    [
        (
            figures(),
            True,
            "accuracy 0.8500 is above 0.8; accuracy 0.8500 is above 0.7600 of the"
            " majority class; there is no champion to compare with",
        ),
        (figures(accuracy=0.8), False, "accuracy 0.8000 is not above 0.8"),
        (figures(accuracy=0.80000001), True, "accuracy 0.80000001 is above 0.8"),
        (figures(accuracy=0.79999), False, "accuracy 0.79999 is not above 0.8"),
        (
            figures(accuracy=0.9, majority=0.9),
            False,
            "accuracy 0.9000 is not above 0.9000 of the majority class",
        ),
        (
            figures(accuracy=0.85, champion=0.86),
            False,
            "accuracy 0.8500 is below 0.8600 of the champion 20261116T020000Z on the"
            " same 1,000 test rows",
        ),
        (
            figures(accuracy=0.85, champion=0.85),
            True,
            "accuracy 0.8500 is not below 0.8500 of the champion",
        ),
        (figures(accuracy=NAN), False, "accuracy nan is not above 0.8"),
        (figures(majority=NAN), False, "is not above nan of the majority class"),
        (
            figures(champion=NAN),
            False,
            "the champion 20261116T020000Z cannot be compared: its accuracy on these"
            " rows is not defined; mend that, or deploy once without comparing"
            " (gate: {beat_champion: false})",
        ),
        (figures(accuracy=NAN, champion=NAN), False, "accuracy nan is not above 0.8"),
        (GateFigures(0, {}, {}), False, "accuracy nan is not above 0.8"),
    ],
)
def test_the_default_gate(given, passed, reason):
    decision = Gate(GateSpec()).decide(given)

    assert decision.passed is passed
    assert reason in decision.reason


def test_a_refusal_names_only_what_failed_but_keeps_every_clause():
    decision = Gate(GateSpec()).decide(figures(accuracy=0.75, champion=0.7))

    assert [(c.name, c.passed) for c in decision.clauses] == [
        ("threshold", False),
        ("majority", False),
        ("champion", True),
        ("interface", True),
    ]
    assert "champion" not in decision.reason


@pytest.mark.parametrize(
    "spec, given, passed",
    [
        ({"beat_majority": False}, figures(0.9, majority=0.95), True),
        ({"beat_champion": False}, figures(0.9, champion=0.95), True),
        ({"threshold": 0.9}, figures(0.9), False),
        ({"confidence": 0.95}, figures(0.81, n=1_000), False),
        ({"confidence": 0.95}, figures(0.81, n=100_000), True),
        ({"confidence": 0.95}, figures(0.85, n=0), False),
        ({"slices": {"sex": 0.7}}, figures(), False),
        (
            {"slices": {"sex": 0.7}},
            figures(slices={"sex": {"f": Group(900, 0.71), "m": Group(900, 0.9)}}),
            True,
        ),
        (
            {"slices": {"sex": 0.7}},
            figures(slices={"sex": {"f": Group(900, 0.6), "m": Group(900, 0.9)}}),
            False,
        ),
        (
            {"slices": {"sex": 0.7}},
            figures(slices={"sex": {"f": Group(900, NAN), "m": Group(900, 0.9)}}),
            False,
        ),
        ({"metrics": {"accuracy": 0.8, "f1": 0.5}}, figures(f1=0.6), True),
        ({"metrics": {"accuracy": 0.8, "f1": 0.5}}, figures(f1=0.5), False),
        ({"metrics": {"accuracy": 0.9, "f1": 0.5}}, figures(f1=0.6), False),
        ({"metrics": {"accuracy": 0.8, "f1": 0.5}}, figures(), False),
        ({"metrics": {"f1": 0.5, "accuracy": 0.8}}, figures(0.85, f1=0.6), True),
    ],
)
def test_what_the_yaml_adds_or_takes_away(spec, given, passed):
    assert Gate(GateSpec(**spec)).decide(given).passed is passed


@pytest.mark.parametrize(
    "accuracy, n, passed",
    [
        (0.0, 1, True),
        (0.0, 29, True),
        (0.0, 30, False),
        (0.6, 30, True),
        (0.6, 200, False),
        (0.69, 1_000, True),
        (0.69, 10_000, False),
        (0.7, 1_000_000, True),
        (0.71, 1_000_000, True),
    ],
)
def test_a_slice_blocks_only_with_enough_rows_to_show_it(accuracy, n, passed):
    given = figures(slices={"sex": {"f": Group(n, accuracy), "m": Group(5_000, 0.9)}})

    assert Gate(GateSpec(slices={"sex": 0.7})).decide(given).passed is passed


def test_of_many_groups_that_are_good_enough_none_blocks_by_chance():
    groups = {str(number): Group(100, 0.62) for number in range(100)}
    gate = Gate(GateSpec(slices={"town": 0.7}))

    assert gate.decide(figures(slices={"town": groups})).passed
    assert not gate.decide(figures(slices={"town": {"1": Group(100, 0.62)}})).passed


def test_a_failed_slice_names_its_group():
    given = figures(slices={"sex": {"f": Group(1_200, 0.6), "m": Group(9, 0.1)}})

    reason = Gate(GateSpec(slices={"sex": 0.7})).decide(given).reason

    assert reason == (
        "accuracy of sex f (1,200 rows) 0.6000 is not above 0.7, and at most 0.6230"
    )


CHANCE = {"accuracy": 0.001, "f1": 0.001, "ranking": 0.001}


@pytest.mark.parametrize(
    "metric, chance, passed",
    [
        ("accuracy", {}, True),
        ("accuracy", {"accuracy": 0.2}, False),
        ("accuracy", {"ranking": 0.3}, False),
        ("accuracy", {"ranking": NAN}, False),
        ("accuracy", {"f1": 0.5}, True),
        ("f1", {"f1": 0.06}, False),
        ("roc_auc", {"accuracy": 1.0}, True),
        ("roc_auc", {"ranking": 0.06}, False),
        ("average_precision", {"ranking": 0.06}, False),
    ],
)
def test_better_than_a_constant_means_beyond_chance(metric, chance, passed):
    given = GateFigures(
        n=100, metrics={metric: 0.9}, majority={metric: 0.89}, chance=CHANCE | chance
    )

    decision = Gate(GateSpec(metric=metric)).decide(given)

    assert decision.passed is passed
    assert ("not beyond chance" in decision.reason) is not passed


@pytest.mark.parametrize("beat_champion", [True, False])
@pytest.mark.parametrize("problem", ["", "it reads the column 'fee', which is gone"])
def test_the_champion_again_passes_and_is_not_deployed(beat_champion, problem):
    given = figures(champion=0.85, repeats=True, problem=problem)

    decision = Gate(GateSpec(beat_champion=beat_champion)).decide(given)

    assert decision.passed and not decision.deploys
    assert "there is nothing to deploy" in decision.reason


def test_the_champion_is_compared_on_rows_that_neither_was_trained_on():
    given = figures(
        accuracy=0.99,
        champion=0.86,
        own_metrics={"accuracy": 0.85},
        compared_on="the same 40 of 1,000 test rows, on which neither was trained",
    )

    assert Gate(GateSpec()).decide(given).reason == (
        "accuracy 0.8500 is below 0.8600 of the champion 20261116T020000Z on the same"
        " 40 of 1,000 test rows, on which neither was trained"
    )


def test_a_champion_that_cannot_be_compared_names_the_way_out():
    given = figures(champion=NAN, problem="it reads the column 'fee', which is gone")

    assert Gate(GateSpec()).decide(given).reason == (
        "the champion 20261116T020000Z cannot be compared: it reads the column 'fee',"
        " which is gone; mend that, or deploy once without comparing"
        " (gate: {beat_champion: false})"
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ({"metric": "recall"}, "always saying yes has a recall of 1"),
        ({"metrics": {"recall": 0.5}}, "always saying yes has a recall of 1"),
        ({"metrics": {"f1": 0.5}, "threshold": 0.5}, "instead of metric and its limit"),
        ({"metrics": {"f1": 1.0}}, "less than 1"),
        ({"metrics": {"f2": 0.5}}, "metrics.f2"),
    ],
)
def test_a_gate_that_asks_for_nothing_certain_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        GateSpec(**given)


def test_another_metric_is_compared_in_every_clause():
    given = GateFigures(
        n=10,
        metrics={"accuracy": 0.1, "roc_auc": 0.9},
        majority={"accuracy": 0.9, "roc_auc": 0.5},
        champion="20261116T020000Z",
        champion_metrics={"accuracy": 0.9, "roc_auc": 0.8},
    )

    decision = Gate(GateSpec(metric="roc_auc")).decide(given)

    assert decision.passed
    assert "ROC AUC 0.9000 is above 0.5000 of any constant answer" in decision.reason


@pytest.mark.parametrize(
    "limit, value, passed, reason",
    [
        ({"above": 100}, 120.0, True, "profit 120.0000 is above 100.0; profit"),
        ({"above": 100}, 99.0, False, "profit 99.0000 is not above 100.0"),
        ({"above": 10}, 40.0, False, "is not above 50.0000 of any constant answer"),
        ({"above": 60}, 70.0, False, "profit 70.0000 is below 80.0000 of the champion"),
        ({"below": 100}, 120.0, False, "profit 120.0000 is not below 100.0"),
        ({"below": 100}, 40.0, True, "is not above 80.0000 of the champion"),
        ({"below": 100}, NAN, False, "profit nan is not below 100.0"),
    ],
)
def test_a_metric_of_the_project_is_judged_in_the_direction_of_its_limit(
    limit, value, passed, reason
):
    given = GateFigures(
        n=100,
        metrics={"accuracy": 0.1, "profit": value},
        majority={"accuracy": 0.9, "profit": 50.0},
        champion="20261116T020000Z",
        champion_metrics={"profit": 80.0},
    )

    spec = GateSpec(metric="my_project.metrics.profit", **limit)
    decision = Gate(spec).decide(given)

    assert decision.passed is passed
    assert reason in decision.reason


def test_figures_survive_json_with_nan_as_null():
    given = figures(
        accuracy=NAN,
        champion=0.8,
        slices={"sex": {"f": Group(3, NAN), "m": Group(4, 1)}},
    )

    text = json.dumps(given.to_dict(), allow_nan=False)
    again = GateFigures.from_dict(json.loads(text))

    assert math.isnan(again.metrics["accuracy"])
    assert math.isnan(again.slices["sex"]["f"].accuracy)
    assert again.to_dict() == given.to_dict()


def test_a_decision_is_reported_as_json():
    decision = Gate(GateSpec()).decide(figures(accuracy=0.8)).to_dict()

    assert json.loads(json.dumps(decision)) == decision
    assert decision["passed"] is False
    assert decision["clauses"][0] == {
        "name": "threshold",
        "passed": False,
        "sentence": "accuracy 0.8000 is not above 0.8",
    }


@pytest.mark.parametrize(
    "value, other, shown",
    [
        (0.8, 0.8, ("0.8000", "0.8000")),
        (0.85, 0.8, ("0.8500", "0.8000")),
        (0.7999999999999999, 0.8, ("0.7999999999999999", "0.8000000000000000")),
        (0.123456, 0.123459, ("0.123456", "0.123459")),
        (NAN, 0.8, ("nan", "0.8000")),
        (1.0, 1.0, ("1.0000", "1.0000")),
    ],
)
def test_numbers_are_shown_with_the_digits_that_distinguish_them_apart(
    value, other, shown
):
    assert digits(value, other) == shown


def test_wilson_agrees_with_the_textbook():
    assert wilson(0.8, 100) == pytest.approx((0.7112, 0.8666), abs=1e-4)
    assert wilson(1.0, 10)[1] == pytest.approx(1.0)
    assert wilson(0.0, 10)[0] == pytest.approx(0.0, abs=1e-12)
    assert all(math.isnan(limit) for limit in wilson(0.5, 0))
    assert lower_bound(0.8, 100, 0.95) == pytest.approx(0.7267, abs=1e-4)


def test_importing_the_gate_loads_nothing_heavy():
    code = (
        "import sys; import ml_assets.ml.gate; "
        "print([m for m in ('numpy','pandas','sklearn','mlflow') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


CHANGED = ("column 'fee': it is needed, and was not until now",)


@pytest.mark.parametrize(
    "champion, refuses, passed",
    [(0.7, (), True), (0.7, CHANGED, False), (None, (), True)],
)
def test_a_version_that_refuses_requests_of_the_champion_fails_by_its_column(
    champion, refuses, passed
):
    given = replace(figures(accuracy=0.9, champion=champion), refuses=refuses)
    # The sensor decides on what was kept as JSON.
    decision = Gate(GateSpec()).decide(GateFigures.from_dict(given.to_dict()))
    assert decision.passed is passed
    assert passed or "column 'fee'" in decision.reason
    # Who knows the callers overrules this clause, and no other.
    assert decision.without([INTERFACE]).deploys
    worse = replace(given, metrics={"accuracy": 0.75})
    assert not Gate(GateSpec()).decide(worse).without([INTERFACE]).deploys
