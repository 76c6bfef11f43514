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


def gate(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The gate's decision: passed, reason, clauses."""
    return evaluation.get("gate") if evaluation else None


def judged_by(evaluation: Evaluation | None) -> dict[str, Any]:
    """The metric of the gate by which versions are compared, and its value.

    Evaluations that name none are of releases whose gates were about accuracy.
    """
    metric = (gate(evaluation) or {}).get("metric", "accuracy")
    return {"metric": metric, "value": metrics(evaluation).get(metric)}


def summary(evaluation: Evaluation | None) -> dict[str, Any]:
    """The gate's metric and its value, whether it was passed, and why or why not."""
    decision = gate(evaluation) or {}
    return {
        **judged_by(evaluation),
        "passed": decision.get("passed"),
        "reason": decision.get("reason"),
    }


def figure(judged: dict[str, Any]) -> str:
    """A metric by its name, with four digits; ``-`` where there is none.

    Examples
    --------
    >>> figure({"metric": "mae", "value": 44.1234})
    'mae 44.1234'
    >>> figure({"metric": "accuracy", "value": None})
    '-'
    """
    if judged["value"] is None:
        return "-"
    return f"{judged['metric'].replace('_', ' ')} {judged['value']:.4f}"


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
