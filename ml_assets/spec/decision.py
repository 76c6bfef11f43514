"""How a probability becomes a decision, and what wrong decisions cost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base import BaseSpec, Fault, raise_faults

if TYPE_CHECKING:
    from ml_assets.spec.model import ModelSpec

EXPECTED_COST = "expected_cost"
TUNED: Literal["tuned"] = "tuned"


class CostsSpec(BaseSpec):
    """What the two kinds of wrong decision cost, in one unit such as a currency."""

    false_positive: float = Field(gt=0, description="cost of a false alarm")
    false_negative: float = Field(
        ge=0, description="cost of a missed positive, beside its amount"
    )


class DecisionSpec(BaseSpec):
    """When a row of a binary target is decided to be positive."""

    threshold: float | Literal["tuned"] = Field(
        0.5,
        description="a row is positive above this probability; tuned: where the costs"
        " over folds of the training rows are least",
    )
    costs: CostsSpec | None = None
    amount: str | None = Field(
        None,
        min_length=1,
        description="a column of requests that a missed positive costs beside"
        " false_negative",
    )
    amount_bound: float | None = Field(
        None, gt=0, description="larger amounts count as this one"
    )
    folds: int = Field(5, ge=2, le=20, description="of a tuned threshold")

    @field_validator("threshold", mode="before")
    @classmethod
    def _is_a_threshold(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value != TUNED and not (is_number and 0 < value < 1):
            raise ValueError(
                "expected a probability above 0 and below 1, or tuned; found"
                f" {value!r}"
            )
        return value

    @model_validator(mode="after")
    def _keys_fit(self) -> "DecisionSpec":
        raise_faults(self._misfits())
        return self

    def _misfits(self) -> Iterator[Fault]:
        if self.costs is None:
            if self.threshold == TUNED:
                yield (
                    ("threshold",),
                    "a tuned threshold is that of the least costs: expected costs"
                    " beside it, such as {false_positive: 5, false_negative: 400},"
                    " found none",
                )
            if self.amount is not None:
                yield ("amount",), "expected costs beside it, found none"
        elif self.amount is None and not self.costs.false_negative:
            yield (
                ("costs", "false_negative"),
                "must be above 0 where no amount is added to it, found 0",
            )
        if self.amount is not None and self.amount_bound is None:
            yield (
                ("amount",),
                "expected amount_bound beside it, the largest amount that counts, so"
                " that no single row decides; found none",
            )
        if self.amount_bound is not None and self.amount is None:
            yield ("amount_bound",), "expected amount beside it, found none"
        if self.threshold != TUNED and "folds" in self.model_fields_set:
            yield ("folds",), f"are of a tuned threshold, found {self.threshold}"


def decision_faults(spec: "ModelSpec") -> Iterator[Fault]:
    """Where the decision does not fit the other keys of a model."""
    decision = spec.decision
    if (decision is None or decision.costs is None) and EXPECTED_COST in (
        spec.gate.demands
    ):
        at = ("metrics", EXPECTED_COST) if spec.gate.metrics else ("metric",)
        yield ("gate", *at), "expected decision.costs for it, found none"
    if decision is None:
        return
    if spec.classes is not None:
        yield ("decision",), "is of a target with two values, and classes names more"
    features, amount = spec.features, decision.amount
    no_inputs = {
        **dict.fromkeys(features.drop, "which features.drop leaves out"),
        **dict.fromkeys(features.derive, "which is derived"),
        **dict.fromkeys(spec.split.beside_inputs, "by which split divides the rows"),
        spec.target: "the target",
    }
    others = [name for name, kind in spec.columns.items() if kind != "number"]
    if amount in no_inputs:
        yield (
            ("decision", "amount"),
            f"expected a column that the model reads, found '{amount}',"
            f" {no_inputs[amount]}",
        )
    elif amount in (*features.categorical, *features.dates, *others):
        yield (
            ("decision", "amount"),
            f"expected a column of numbers, found '{amount}', which the YAML makes"
            " another kind",
        )
