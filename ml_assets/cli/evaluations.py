"""Reading ``evaluation.json`` of a version: its figures and the gate's verdict."""

from typing import Any

Evaluation = dict[str, Any]


def metrics(evaluation: Evaluation | None) -> dict[str, float | None]:
    """Every plain figure of an evaluation."""
    found: dict[str, Any] = {}
    if evaluation:
        found = {
            **evaluation.get("figures", {}).get("metrics", {}),
            **evaluation.get("metrics", {}),
        }
    return {
        name: value
        for name, value in found.items()
        if value is None or isinstance(value, int | float)
    }


def accuracy(evaluation: Evaluation | None) -> float | None:
    """Share of the test rows that were answered rightly."""
    return metrics(evaluation).get("accuracy")


def gate(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The gate's decision: passed, reason, clauses."""
    return evaluation.get("gate") if evaluation else None


def summary(evaluation: Evaluation | None) -> dict[str, Any]:
    """Accuracy, whether the gate was passed, and why or why not."""
    decision = gate(evaluation) or {}
    return {
        "accuracy": accuracy(evaluation),
        "passed": decision.get("passed"),
        "reason": decision.get("reason"),
    }
