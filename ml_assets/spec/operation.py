"""Serving, monitoring, retention and resources of a model, as its YAML gives them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base import BaseSpec, raise_faults, repeated_names
from ml_assets.spec.validators import label_faults


class DesignSpec(BaseSpec):
    """An experiment of planned size, instead of one that may be decided at any time."""

    labels: int = Field(
        ge=100,
        description="labels after which the experiment ends; it is analysed five times",
    )


class AmountsSpec(BaseSpec):
    """Processor and memory, as Kubernetes writes them."""

    cpu: str | None = Field(
        None, pattern=r"^(\d+m|\d+(\.\d+)?)$", description="such as 500m or 2"
    )
    memory: str | None = Field(
        None, pattern=r"^\d+(\.\d+)?[KMGT]i$", description="such as 512Mi or 4Gi"
    )

    @field_validator("cpu", mode="before")
    @classmethod
    def _number_is_text(cls, value: object) -> object:
        """YAML reads 2 as a number."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return str(value) if is_number else value


class PodResourcesSpec(BaseSpec):
    """What a pod is sure to get, and what it may not exceed."""

    requests: AmountsSpec = Field(
        default_factory=AmountsSpec, description="what the pod is sure to get"
    )
    limits: AmountsSpec = Field(
        default_factory=AmountsSpec, description="what the pod may not exceed"
    )

    @model_validator(mode="after")
    def _requests_fit_limits(self) -> "PodResourcesSpec":
        for name in ("cpu", "memory"):
            least, most = getattr(self.requests, name), getattr(self.limits, name)
            if least and most and _amount(least) > _amount(most):
                raise ValueError(
                    f"requests.{name} is {least}, which is more than"
                    f" limits.{name}, {most}"
                )
        return self


def _amount(text: str) -> float:
    number = float(text.rstrip("mKMGTi"))
    suffix = text.lstrip("0123456789.")
    powers = {"": 1.0, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    return number * powers[suffix]


class ReplicasSpec(BaseSpec):
    """How many servers there are: a fixed number, or a range for an autoscaler."""

    min: int = Field(ge=1, description="servers that there are at least")
    max: int | None = Field(
        None, ge=1, description="servers that an autoscaler makes at most; min if unset"
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> "ReplicasSpec":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max is {self.max}, which is less than min, {self.min}")
        return self


class ServingSpec(BaseSpec):
    """How a deployed version answers, and how a new one is tried beside it."""

    strategy: Literal["rolling", "shadow", "split", "canary"] = "rolling"
    unknown_category: Literal["auto", "reject", "accept"] = Field(
        "accept",
        description="a category that training never saw: accept takes it as unknown,"
        " with a warning; reject answers 422; auto does so only where training saw"
        " every one",
    )
    log_sample: float = Field(
        1.0, ge=0, le=1, description="share of requests that are logged"
    )
    entity: str = Field(
        "entity", description="what feedback files call the column of the entity"
    )
    share: float = Field(
        0.1, gt=0, lt=1, description="split: the challenger's share of traffic"
    )
    steps: list[float] = Field(
        default_factory=lambda: [0.05, 0.2, 0.5],
        min_length=1,
        description="canary: the challenger's growing shares of traffic",
    )
    alpha: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="chance of ever promoting a challenger that is not better",
    )
    max_days: float = Field(
        14.0, gt=0, description="days of test after which the champion is kept"
    )
    design: DesignSpec | None = Field(
        None, description="a planned number of labels; by default any label may decide"
    )
    minimum_requests: int = Field(
        100, ge=1, description="the challenger's requests before promotion or a step"
    )
    slow_ms: float = Field(
        50.0, gt=0, description="an answer that takes longer counts as slow"
    )
    pool: Literal["own", "shared"] = Field(
        "own",
        description="Kubernetes, of a model that the chart's `models` does not name:"
        " servers of its own, or those of the shared pool, which serve every model that"
        " says so",
    )
    replicas: ReplicasSpec | None = Field(
        None,
        description="Kubernetes, of a model that the chart's `models` does not name:"
        " its servers; by default as many as modelServer says",
    )
    scale_to_zero: bool = Field(
        False,
        description="Kubernetes with KEDA, of such a model: no server while nobody asks"
        " for answers; the first requests after that wait for one, or fail",
    )
    resources: PodResourcesSpec = Field(
        default_factory=PodResourcesSpec,
        description="Kubernetes, of such a model: what a server may use, laid over"
        " modelServer.resources",
    )

    @field_validator("steps")
    @classmethod
    def _steps_grow(cls, value: list[float]) -> list[float]:
        bounds = [0.0, *value, 1.0]
        if not all(low < high for low, high in zip(bounds, bounds[1:])):
            raise ValueError(f"must grow between 0 and 1, found {value}")
        return value

    @model_validator(mode="after")
    def _sizes_are_of_own_servers(self) -> "ServingSpec":
        sizes = ("replicas", "scale_to_zero", "resources")
        given = [name for name in sizes if name in self.model_fields_set]
        if self.pool == "shared" and given:
            message = (
                "is of servers of the model's own, and pool is shared, whose size is"
                " modelTemplate.sharedPool in the values of the chart ml-assets"
            )
            raise_faults([((name,), message) for name in given])
        return self

    @model_validator(mode="after")
    def _design_has_an_experiment(self) -> "ServingSpec":
        if self.design is not None and self.strategy == "rolling":
            message = (
                "is of an experiment, which the strategy rolling does not have; the"
                " strategy must be shadow, split or canary"
            )
            raise_faults([(("design",), message)])
        return self


class MonitoringSpec(BaseSpec):
    """What is watched after deployment, and what follows from drift."""

    bins: int = Field(20, ge=2, le=100, description="quantile bins of a numeric column")
    slices: list[str] = Field(
        default_factory=list, description="columns whose groups are reported apart"
    )
    ignore: list[str] = Field(
        default_factory=list,
        description="columns that are not watched for drift, such as the month",
    )
    window_hours: float = Field(
        24.0, gt=0, description="predictions compared with the reference profile"
    )
    psi_floor: float = Field(
        0.1, ge=0, description="least population stability index that counts as drift"
    )
    retrain: bool = Field(True, description="train a version when drift is found")
    cooldown_hours: float = Field(
        24.0, ge=0, description="least time between two trainings for drift"
    )

    @field_validator("slices", "ignore")
    @classmethod
    def _are_unique(cls, value: list[str]) -> list[str]:
        raise_faults(repeated_names(value))
        return value


class AutomationSpec(BaseSpec):
    """What is done of itself; training has `schedule` and `monitoring.retrain`."""

    gate: bool = Field(True, description="deploy a version when it passes its gate")
    health: bool = Field(
        True, description="roll back a plan that no running server can load"
    )
    monitor: bool = Field(
        True, description="compact the log, and look for drift and degradation"
    )


class RetentionSpec(BaseSpec):
    """How long what was made is kept; what is in use is kept without end."""

    versions: int = Field(
        10, ge=1, description="newest versions that are kept whatever their age"
    )
    days: float = Field(
        90.0, gt=0, description="age up to which versions, tables and reports are kept"
    )
    predictions_days: float = Field(
        90.0, gt=0, description="age up to which logged predictions and labels are kept"
    )


class ResourcesSpec(PodResourcesSpec):
    """What a run of this model may use; all but `threads` on Kubernetes only."""

    threads: int = Field(1, ge=1, description="OMP_NUM_THREADS of training")
    executor: Literal["in_process", "k8s"] = Field(
        "in_process", description="k8s: each step in a pod of its own"
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="labels that a node must have"
    )

    @field_validator("node_selector")
    @classmethod
    def _are_labels(cls, value: dict[str, str]) -> dict[str, str]:
        raise_faults(label_faults(value))
        return value
