"""What is judged again although nothing was trained, and by which gate."""

from typing import Any

import pytest

from ml_assets.lifecycle.gate_decision import (
    decision_on,
    is_judged_otherwise,
    judged_by,
)
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.spec.model import ModelSpec

FIGURES = GateFigures(100, {"accuracy": 0.85}, {"accuracy": 0.7})


def spec(**more: Any) -> ModelSpec:
    given = {"name": "m", "source": {"type": "synthetic"}, "target": "late"}
    return ModelSpec.model_validate({**given, **more})


def evaluation(by: ModelSpec, **more: Any) -> dict[str, Any]:
    """As it was kept when `by` was the YAML, and nothing served."""
    found = {"figures": FIGURES.to_dict(), "champion": None, "judged_by": judged_by(by)}
    return {**found, "gate": decision_on(by, found).to_dict(), **more}


@pytest.mark.parametrize(
    "later, expected",
    [
        ({}, False),
        ({"description": "more words"}, False),
        ({"gate": {"threshold": 0.7}}, True),
        ({"gate": {"threshold": 0.9}}, True),
        ({"gate": {"metric": "f1"}}, True),
        ({"gate": {"metrics": {"accuracy": 0.8, "f1": 0.5}}}, True),
        ({"gate": {"beat_champion": False}}, True),
        ({"gate": {"slices": {"sex": 0.7}}}, True),
        ({"monitoring": {"slices": ["sex"]}}, True),
    ],
)
def test_a_version_is_judged_again_when_the_yaml_asks_for_something_else(
    later: dict[str, Any], expected: bool, home: Any
) -> None:
    assert is_judged_otherwise(spec(**later), evaluation(spec())) is expected


@pytest.mark.parametrize("threshold, expected", [(0.9, True), (0.8, False)])
def test_a_refused_version_is_judged_again_when_its_champion_is_gone(
    threshold: float, expected: bool, home: Any
) -> None:
    model = spec(gate={"threshold": threshold})
    then = evaluation(model, champion="20261116T020000Z")

    assert is_judged_otherwise(model, then) is expected


def test_an_evaluation_of_an_older_platform_is_made_again(home: Any) -> None:
    old = evaluation(spec())
    del old["judged_by"]

    assert is_judged_otherwise(spec(), old)


@pytest.mark.parametrize(
    "split, message",
    [
        ({"type": "time", "column": "day", "key": ["id"]}, "only split type"),
        ({"type": "order", "key": ["id"]}, "only split type"),
        ({"type": "order", "column": "day"}, "only it takes one"),
        ({"key": ["late"]}, "the target 'late' names no row"),
    ],
)
def test_a_split_that_means_nothing_is_refused(
    split: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        spec(split=split)
