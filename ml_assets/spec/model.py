"""Every key of a model's YAML, as frozen pydantic models."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from ml_assets.spec import user_code, validators
from ml_assets.spec.base import BaseSpec, Fault, raise_faults
from ml_assets.spec.columns import (
    KINDS,
    ColumnKind,
    ContractSpec,
    column_faults,
)
from ml_assets.spec.cron import cron_fault
from ml_assets.spec.decision import DecisionSpec, decision_faults
from ml_assets.spec.estimator import DEFAULT_TYPES, EstimatorSpec, SearchSpec
from ml_assets.spec.expectations import did_you_mean
from ml_assets.spec.features import FeaturesSpec
from ml_assets.spec.gate import GateSpec
from ml_assets.spec.metrics import Kind
from ml_assets.spec.operation import (
    AutomationSpec,
    MonitoringSpec,
    ResourcesSpec,
    RetentionSpec,
    ServingSpec,
)
from ml_assets.spec.reserved import RELEASE
from ml_assets.spec.source import SourceSpec
from ml_assets.spec.split import SplitSpec

__all__ = ["EstimatorSpec", "FeaturesSpec", "ModelSpec", "SearchSpec", "SourceSpec"]

NAME = r"^[a-z][a-z0-9_]{0,62}$"
CRON_WEEKLY = "0 2 * * 0"
OWNER = re.compile(r"^(team:[\w-]+|[^@\s]+@[^@\s]+)$")


class ModelSpec(BaseSpec):
    """One model: the content of ``defs/<model>/defs.yaml``."""

    # What a component predicts, where its attributes do not say so.
    KIND: ClassVar[Kind] = "classification"

    task: Kind = Field(
        "classification",
        description="set by the component; whether there are two classes or more is"
        " seen in the data of the first training",
    )
    name: str = Field(pattern=NAME, description="the model's name, snake_case")
    source: SourceSpec
    runtime_sources: list[str] = Field(
        default_factory=list,
        description="what a run may read instead: sql, kaggle, beginnings of addresses",
    )
    target: str = Field(min_length=1, description="column to predict")
    positive: str | int | float | bool | None = Field(
        None,
        description="of a target with two values the one that counts as positive; the"
        " rarer by default",
    )
    classes: list[str | int | float | bool] | None = Field(
        None,
        description="three or more classes of the target, in the order of answers;"
        " by default those of the first training",
    )
    description: str = ""
    owners: list[str] = Field(
        default_factory=list, description="team:NAME or an e-mail address"
    )
    expect: list[dict[str, dict[str, Any]]] = Field(
        default_factory=list, description="Great Expectations rules on the raw data"
    )
    contract: ContractSpec = Field(default_factory=ContractSpec)
    columns: dict[str, ColumnKind] = Field(
        default_factory=dict, description="column: its kind, whatever was read"
    )
    features: FeaturesSpec = Field(default_factory=FeaturesSpec)
    estimator: EstimatorSpec = Field(default_factory=EstimatorSpec)
    search: SearchSpec | None = None
    split: SplitSpec = Field(default_factory=SplitSpec)
    decision: DecisionSpec | None = Field(
        None, description="of two classes: when a row is positive, and what errors cost"
    )
    interval: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="of a regressor: the share of rows that are to be inside of the"
        " interval beside each value",
    )
    metrics: list[str] = Field(
        default_factory=list,
        description="import paths of functions of trusted packages: outcomes and"
        " answers in, a number out",
    )
    gate: GateSpec = Field(default_factory=GateSpec)
    serving: ServingSpec = Field(default_factory=ServingSpec)
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)
    retention: RetentionSpec = Field(default_factory=RetentionSpec)
    automation: AutomationSpec = Field(default_factory=AutomationSpec)
    schedule: str | None = Field(CRON_WEEKLY, description="cron in UTC; null for none")
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_of_the_task(cls, data: Any) -> Any:
        """The attributes with the task, and the estimator that it has by default."""
        if not isinstance(data, Mapping):
            return data
        given = {**data}
        if cls.KIND != "classification":
            given.setdefault("task", cls.KIND)
        if given.get("task") == "regression":
            estimator = given.get("estimator", {})
            if isinstance(estimator, Mapping):
                given["estimator"] = {"type": DEFAULT_TYPES["regression"], **estimator}
        return given

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value == RELEASE:
            raise ValueError(f"{RELEASE!r} is kept for releases of the platform itself")
        return value

    @field_validator("expect")
    @classmethod
    def _are_rules(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise_faults(validators.expectation_faults(value))
        return value

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        fault = None if value in (None, CRON_WEEKLY) else cron_fault(str(value))
        if fault:
            raise ValueError(fault)
        return value

    @field_validator("owners")
    @classmethod
    def _are_owners(cls, value: list[str]) -> list[str]:
        for owner in value:
            if not OWNER.match(owner):
                raise ValueError(f"'{owner}' must be team:NAME or an e-mail address")
        return value

    @model_validator(mode="after")
    def _keys_fit(self) -> "ModelSpec":
        raise_faults((*self._misfits(), *column_faults(self), *decision_faults(self)))
        # Who reads the features need not know in which way a kind was given.
        object.__setattr__(self, "features", self.features.with_kinds(self.columns))
        return self

    def _misfits(self) -> Iterator[Fault]:
        """What is wrong with two keys together."""
        features, target = self.features, self.target
        yield from self._task_misfits()
        for key in ("drop", *KINDS, "text", "derive"):
            if target in getattr(features, key):
                yield ("features", key), f"features names the target '{target}'"
        for name, text in features.derive.items():
            if target in validators.columns_in(text):
                yield (
                    ("features", "derive", name),
                    f"{text!r} reads the target '{target}', which is to be found",
                )
        for location, names in (
            (("monitoring", "slices"), self.monitoring.slices),
            (("gate", "slices"), self.gate.slices),
        ):
            if target in names:
                yield location, f"the target '{target}' cannot make the groups"
        if self.split.column == target:
            yield ("split", "column"), f"the target '{target}' is no time"
        if target in self.split.key:
            yield ("split", "key"), f"the target '{target}' names no row"
        if self.split.group == target:
            yield ("split", "group"), f"the target '{target}' cannot make the groups"
        yield from self._group_misfits()
        for at, message in user_code.metric_faults(self.metrics):
            yield ("metrics", *at), message
        own = self.gate.own_metric
        if own is not None and own not in self.metrics:
            yield (
                ("gate", "metric"),
                f"expected a function that the key `metrics` has, found '{own}'"
                f"{did_you_mean(own, self.metrics)}; it has"
                f" {', '.join(self.metrics) or 'none'}",
            )
        if self.search:
            found = validators.search_faults(self.estimator.type, self.search.params)
            for at, message in found:
                yield ("search", "params", *at), message

    def _task_misfits(self) -> Iterator[Fault]:
        """What only a model of another task has."""
        for at, message in self.gate.misfits(self.task):
            yield ("gate", *at), message
        path = self.estimator.type
        for message in validators.kind_faults(path, self.task):
            yield ("estimator", "type"), message
        if self.search is not None:
            for at, message in self.search.misfits(self.task):
                yield ("search", *at), message
        if self.task == "regression":
            for key in ("positive", "classes", "decision"):
                if getattr(self, key) is not None:
                    yield (key,), "is of a target with classes; a regressor has none"
        elif self.interval is not None:
            yield ("interval",), "is of a regressor; classes have probabilities"
        if self.classes is not None and self.task != "regression":
            if self.positive is not None:
                yield ("classes",), "positive stands there, too, which is of two values"
            elif len({*map(str, self.classes)}) < max(len(self.classes), 3):
                yield (
                    ("classes",),
                    "expected three or more different values, found"
                    f" {', '.join(map(repr, self.classes)) or 'none'}; of a target with"
                    " two values, positive names one",
                )

    def _group_misfits(self) -> Iterator[Fault]:
        """Where the column of ``split.group`` is used as an input."""
        group, features = self.split.group, self.features
        message = f"'{group}' is the column of split.group, which is no input"
        for key in (*KINDS, "text"):
            if group in getattr(features, key):
                yield ("features", key), message
        if group in features.derive:
            yield ("features", "derive", str(group)), message
        for name, text in features.derive.items():
            if group in validators.columns_in(text):
                yield ("features", "derive", name), f"{text!r} reads it: {message}"

    def on_this_machine(self) -> "ModelSpec":
        """The same with the local engine, which finds the same answer."""
        if self.search is None:
            return self
        search = self.search.model_copy(update={"engine": "local"})
        return self.model_copy(update={"search": search})
