"""What a YAML may say of a decision, and what is refused of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.spec import model_file
from ml_assets.spec.model import ModelSpec
from ml_assets_tests.kits.docs import ROOT

GOOD = """\
type: ml_assets.components.TabularClassifier
attributes:
  name: fraud
  source: {type: csv, path: claims.csv}
  target: fraud
  features: {drop: [closed], derive: {rate: "claim_value / age"}}
  columns: {plan: category}
"""
COSTS = "costs: {false_positive: 5, false_negative: 400}"
WRONG = {
    "a threshold of 1": (
        "threshold: 1",
        "threshold",
        "above 0 and below 1, or tuned; found 1",
    ),
    "a text": ("threshold: best", "threshold", "or tuned; found 'best'"),
    "a truth value": ("threshold: true", "threshold", "found True"),
    "tuned by nothing": ("threshold: tuned", "threshold", "expected costs beside it"),
    "a negative cost": (
        "costs: {false_positive: -5, false_negative: 400}",
        "costs.false_positive",
        "greater than 0, found -5",
    ),
    "one cost": ("costs: {false_positive: 5}", "costs.false_negative", "is missing"),
    "no cost of a missed one": (
        "costs: {false_positive: 5, false_negative: 0}",
        "costs.false_negative",
        "must be above 0 where no amount is added to it, found 0",
    ),
    "an amount without a bound": (
        f"{COSTS}, amount: claim_value",
        "amount",
        "expected amount_bound beside it",
    ),
    "a bound without an amount": (
        f"{COSTS}, amount_bound: 9",
        "amount_bound",
        "expected amount beside it, found none",
    ),
    "an amount without costs": (
        "amount: claim_value, amount_bound: 9",
        "amount",
        "expected costs beside it, found none",
    ),
    "an amount that is dropped": (
        f"{COSTS}, amount: closed, amount_bound: 9",
        "amount",
        "found 'closed', which features.drop leaves out",
    ),
    "an amount that is derived": (
        f"{COSTS}, amount: rate, amount_bound: 9",
        "amount",
        "found 'rate', which is derived",
    ),
    "an amount that is the target": (
        f"{COSTS}, amount: fraud, amount_bound: 9",
        "amount",
        "found 'fraud', the target",
    ),
    "an amount that is a category": (
        f"{COSTS}, amount: plan, amount_bound: 9",
        "amount",
        "expected a column of numbers, found 'plan'",
    ),
    "folds of nothing": ("threshold: 0.3, folds: 4", "folds", "found 0.3"),
    "no such key": ("limit: 3", "limit", "there is no such key"),
}


def problems(folder: Path, text: str) -> list[model_file.Problem]:
    file = folder / "defs.yaml"
    file.write_text(text, encoding="utf-8")
    (document,) = model_file.read(file)
    return model_file.problems(document)


@pytest.mark.parametrize("decision, key, message", WRONG.values(), ids=WRONG)
def test_a_wrong_decision_is_refused_at_its_line(
    tmp_path: Path, decision: str, key: str, message: str
) -> None:
    found = problems(tmp_path, GOOD + f"  decision: {{{decision}}}\n")
    (problem,) = (p for p in found if p.key == f"attributes.decision.{key}")
    assert problem.line == 8
    assert message in problem.message


@pytest.mark.parametrize(
    "more, key, message",
    [
        ("  gate: {metric: expected_cost, below: 2}\n", "gate.metric", "found none"),
        (
            "  gate: {metrics: {expected_cost: 2}}\n  decision: {threshold: 0.3}\n",
            "gate.metrics.expected_cost",
            "expected decision.costs for it",
        ),
        (
            "  decision: {threshold: 0.3}\n  classes: [a, b, c]\n",
            "decision",
            "is of a target with two values, and classes names more",
        ),
    ],
)
def test_what_does_not_go_with_a_decision_is_refused(
    tmp_path: Path, more: str, key: str, message: str
) -> None:
    found = problems(tmp_path, GOOD + more)
    (problem,) = (p for p in found if p.key == f"attributes.{key}")
    assert message in problem.message


def test_a_regressor_has_no_decision(tmp_path: Path) -> None:
    text = GOOD.replace("Classifier", "Regressor")
    gate = "  gate: {metric: mae, below: 2}\n"
    found = problems(tmp_path, text + gate + "  decision: {threshold: 0.3}\n")
    (problem,) = found
    assert (problem.line, problem.key) == (9, "attributes.decision")
    assert "a regressor has none" in problem.message


def yaml_of(document: str) -> list[dict[str, Any]]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    blocks = text.split("```yaml\n")[1:]
    return [yaml.safe_load(block.partition("```")[0]) for block in blocks]


def test_the_models_of_the_guide_are_right() -> None:
    blocks = [item for item in yaml_of("costs.md") if "attributes" in item]
    assert blocks
    for block in blocks:
        spec = ModelSpec.model_validate(block["attributes"])
        assert spec.decision is not None and spec.gate.main == "expected_cost"
