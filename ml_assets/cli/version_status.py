"""The status of a version: its figures, the gate's verdict, and how it serves."""

from typing import Any

from ml_assets.cli.console import Fragment
from ml_assets.records.plan import ServingPlan

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


def figure(value: Any) -> str:
    """A metric with four digits; ``-`` where there is none.

    Examples
    --------
    >>> figure(0.96491), figure(None)
    ('0.9649', '-')
    """
    return "-" if value is None else f"{value:.4f}"


def verdict(passed: bool | None, *figures: str) -> Fragment:
    """What the gate decided, and on which figures, in its colour."""
    word, colour = {
        None: ("not evaluated", ""),
        True: ("passed", "green"),
        False: ("refused", "yellow"),
    }[passed]
    return " ".join((word, *figures)), colour


def mode_of(version: str, plan: ServingPlan | None) -> str | None:
    """How `version` serves in `plan`: live, split or shadow; None if it does not."""
    arms = plan.arms if plan else ()
    return next((arm.mode for arm in arms if arm.version == version), None)
