"""The gate of a model, as its YAML gives it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ml_assets.spec.base import BaseSpec

Measure = Literal[
    "accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1", "precision",
    "recall",
]  # fmt: skip


class GateSpec(BaseSpec):
    """The rule that a version must pass to be deployed."""

    metric: Measure = "accuracy"
    threshold: float = Field(0.8, ge=0, lt=1, description="the metric must exceed it")
    metrics: dict[Measure, Annotated[float, Field(ge=0, lt=1)]] = Field(
        default_factory=dict,
        description="instead of metric and threshold, several, each with what it must"
        " exceed; the champion is compared by the first",
    )
    beat_majority: bool = Field(
        True, description="better than the best constant answer, and beyond chance"
    )
    beat_champion: bool = Field(
        True, description="not worse than the champion on the same test rows"
    )
    confidence: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="also the lower confidence bound of accuracy exceeds the threshold",
    )
    slices: dict[str, float] = Field(
        default_factory=dict,
        description="column: accuracy that each of its groups must exceed",
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> "GateSpec":
        if self.metrics and {"metric", "threshold"} & self.model_fields_set:
            raise ValueError("metrics stands instead of metric and threshold")
        if [*self.demands] == ["recall"]:
            raise ValueError(
                "always saying yes has a recall of 1: ask for another metric, too, such"
                " as metrics: {recall: 0.6, precision: 0.4}"
            )
        return self

    @property
    def demands(self) -> dict[Measure, float]:
        """What each metric must exceed; the champion is compared by the first."""
        return self.metrics or {self.metric: self.threshold}

    @property
    def main(self) -> Measure:
        """The metric by which versions are compared."""
        return next(iter(self.demands))
