"""The gate of a model, as its YAML gives it."""

from collections.abc import Iterator

from pydantic import Field, model_validator

from ml_assets.spec.base import BaseSpec, Fault, raise_faults
from ml_assets.spec.metrics import METRICS, Kind, Measure, lower_is_better, metrics_of


class GateSpec(BaseSpec):
    """The rule that a version must pass to be deployed."""

    metric: Measure = "accuracy"
    threshold: float = Field(
        0.8, ge=0, lt=1, description="the metric must exceed it, where higher is better"
    )
    below: float | None = Field(
        None, gt=0, description="the metric must be below it, where lower is better"
    )
    metrics: dict[Measure, float] = Field(
        default_factory=dict,
        description="instead of metric and its limit, several, each with what it must"
        " exceed or, where lower is better, be below; the champion is compared by the"
        " first",
    )
    beat_majority: bool = Field(
        True,
        description="better than the best constant answer (for numbers, the mean and"
        " the median of training), and beyond chance",
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
        if self.metrics and {"metric", "threshold", "below"} & self.model_fields_set:
            raise ValueError("metrics stands instead of metric and threshold or below")
        raise_faults([*self._wrong_limits()])
        if [*self.demands] == ["recall"]:
            raise ValueError(
                "always saying yes has a recall of 1: ask for another metric, too, such"
                " as metrics: {recall: 0.6, precision: 0.4}"
            )
        return self

    def _wrong_limits(self) -> Iterator[Fault]:
        for name, limit in self.metrics.items():
            if lower_is_better(name) and not limit > 0:
                yield ("metrics", name), f"must be above 0, found {limit:g}"
            elif not lower_is_better(name) and not 0 <= limit < 1:
                yield (
                    "metrics",
                    name,
                ), f"must be from 0 and less than 1, found {limit:g}"
        has_threshold = "threshold" in self.model_fields_set
        if not lower_is_better(self.metric):
            if self.below is not None:
                yield (
                    ("below",),
                    f"higher is better of {self.metric}: give what it must exceed,"
                    " threshold",
                )
        elif self.below is None or has_threshold:
            yield (
                ("threshold" if has_threshold else "metric",),
                f"lower is better of {self.metric}: give what it must be below, such as"
                f" {{metric: {self.metric}, below: 3.5}}",
            )

    @property
    def demands(self) -> dict[Measure, float]:
        """The limit of each metric; the champion is compared by the first."""
        limit = self.threshold if self.below is None else self.below
        return self.metrics or {self.metric: limit}

    @property
    def main(self) -> Measure:
        """The metric by which versions are compared."""
        return next(iter(self.demands))

    def misfits(self, kind: Kind) -> Iterator[Fault]:
        """What does not fit a model of that kind."""
        if kind == "regression" and not {"metric", "metrics"} & self.model_fields_set:
            yield (
                (),
                "a regressor names the metric that decides and its limit, such as"
                " {metric: mae, below: 3.5} or {metric: r2, threshold: 0.5}; there are"
                f" {', '.join(metrics_of(kind))}",
            )
            return
        for name in self.demands:
            if kind not in METRICS[name].kinds:
                at = ("metrics", name) if self.metrics else ("metric",)
                yield (
                    at,
                    f"{name} is no metric of {kind}, which has"
                    f" {', '.join(metrics_of(kind))}",
                )
        if kind == "regression":
            for key in ("confidence", "slices"):
                if getattr(self, key):
                    yield (key,), "is about accuracy, which a regressor does not have"
