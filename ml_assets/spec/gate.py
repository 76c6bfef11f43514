"""The gate of a model, as its YAML gives it."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base import BaseSpec, Fault, raise_faults
from ml_assets.spec.expectations import did_you_mean
from ml_assets.spec.metrics import METRICS, Kind, Measure, lower_is_better, metrics_of

# As the schema says it: an import path, a template of Dagster, or one of the names.
_ANY_METRIC: dict[str, Any] = {
    "if": {"pattern": r"\.|\{[{%]"},
    "else": {"enum": [*METRICS]},
}


class GateSpec(BaseSpec):
    """The rule that a version must pass to be deployed."""

    metric: str = Field(
        "accuracy",
        description="a metric of the task, or the import path of one of `metrics`",
        json_schema_extra=_ANY_METRIC,
    )
    threshold: float = Field(
        0.8, ge=0, lt=1, description="the metric must exceed it, where higher is better"
    )
    below: float | None = Field(
        None, description="the metric must be below it, where lower is better"
    )
    above: float | None = Field(
        None, description="a metric of the project's own must be above it, or `below`"
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

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, value: str) -> str:
        if "." not in value and value not in METRICS:
            raise ValueError(
                f"expected the import path of a function under `metrics`, or one of"
                f" {', '.join(METRICS)}; found '{value}'{did_you_mean(value, METRICS)}"
            )
        return value

    @model_validator(mode="after")
    def _asks_for_something(self) -> "GateSpec":
        single = {"metric", "threshold", "below", "above"}
        if self.metrics and single & self.model_fields_set:
            raise ValueError("metrics stands instead of metric and its limit")
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
        if self.own_metric is not None:
            yield from self._wrong_limits_of_own(has_threshold)
            return
        if self.above is not None:
            yield ("above",), f"is of a metric of the project's own, not {self.metric}"
        if self.below is not None and not self.below > 0:
            yield ("below",), f"must be above 0, found {self.below:g}"
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

    def _wrong_limits_of_own(self, has_threshold: bool) -> Iterator[Fault]:
        limits = [limit for limit in (self.above, self.below) if limit is not None]
        found = "threshold" if has_threshold else "both" if limits else "none"
        if has_threshold or len(limits) != 1:
            yield (
                ("threshold" if has_threshold else "metric",),
                f"expected one limit of {self.metric}, which says what is better, such"
                f" as {{metric: {self.metric}, above: 100}}, or below: 100; found"
                f" {found}",
            )
        if self.confidence is not None:
            yield (
                ("confidence",),
                f"is about the limit of accuracy, which {self.metric} is not",
            )

    @property
    def own_metric(self) -> str | None:
        """The import path of the metric, where it is the project's own."""
        return self.metric if "." in self.metric else None

    @property
    def demands(self) -> dict[str, float]:
        """The limit of each metric by its name; the champion is compared by the first.

        That of a metric of the project's own is the name of the function.
        """
        limits = (self.above, self.below, self.threshold)
        limit = next(limit for limit in limits if limit is not None)
        return dict(self.metrics.items()) or {self.metric.rpartition(".")[2]: limit}

    @property
    def main(self) -> str:
        """The metric by which versions are compared."""
        return next(iter(self.demands))

    def lower_is_better(self, metric: str) -> bool:
        """Whether a lower value of a metric is better: of an own one the limit says."""
        if self.own_metric is not None and metric == self.main:
            return self.below is not None
        return lower_is_better(metric)

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
            if self.own_metric is None and kind not in METRICS[name].kinds:
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
