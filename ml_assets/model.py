"""Everything that a model's YAML can say, as frozen pydantic models."""

import re
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ml_assets.ledger import RELEASE
from ml_assets.model_operation import MonitoringSpec as MonitoringSpec
from ml_assets.model_operation import ResourcesSpec as ResourcesSpec
from ml_assets.model_operation import RetentionSpec as RetentionSpec
from ml_assets.model_operation import ServingSpec as ServingSpec
from ml_assets.model_part import Part as Part

NAME = r"^[a-z][a-z0-9_]{0,62}$"
CRON_WEEKLY = "0 2 * * 0"
CRON = re.compile(r"^(\S+\s+){4}\S+$")
OWNER = re.compile(r"^(team:[\w-]+|[^@\s]+@[^@\s]+)$")


Engine = Literal["local", "ray"]
SourceType = Literal["sklearn", "csv", "parquet", "http", "kaggle", "sql", "synthetic"]

# What each source type needs, and what else it takes.
SOURCE_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "sklearn": ({"dataset"}, set()),
    "csv": ({"path"}, {"read", "parallel"}),
    "parquet": ({"path"}, {"parallel"}),
    "http": ({"url"}, {"read", "timeout_seconds", "sha256"}),
    "kaggle": ({"dataset", "file"}, {"read", "timeout_seconds"}),
    "sql": ({"url", "query"}, set()),
    "synthetic": (set(), {"rows", "seed", "drift"}),
}


def _require_by_type(schema: dict[str, Any]) -> None:
    """Tell ``dg check yaml``, through the JSON schema, what each source type takes."""
    every = {
        name for fields in SOURCE_FIELDS.values() for part in fields for name in part
    }
    schema["allOf"] = [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {
                "required": sorted(needed),
                "properties": {name: False for name in sorted(every - needed - other)},
            },
        }
        for kind, (needed, other) in SOURCE_FIELDS.items()
    ]


class CsvFormat(Part):
    """How a CSV file is written, where it is not the usual comma and header."""

    separator: str = Field(",", min_length=1, max_length=1)
    header: bool = True
    columns: list[str] = Field(
        default_factory=list, description="names for a file without a header"
    )
    missing: list[str] = Field(
        default_factory=lambda: ["", "?", "NA", "NaN", "nan", "null", "NULL"],
        description="cell texts that mean a missing value",
    )
    encoding: str = "utf-8"
    strip: bool = Field(True, description="trim blanks around cells")


class SourceSpec(Part):
    """Where the rows of a model come from.

    ``${NAME}`` in ``path``, ``url`` and ``query`` is read from the environment when
    the data is read, so that no secret stands in the YAML or in the UI.
    """

    model_config = ConfigDict(json_schema_extra=_require_by_type)

    type: SourceType
    path: str | None = Field(
        None, description="csv, parquet: a path, glob or fsspec URL"
    )
    parallel: bool = Field(
        False, description="csv, parquet: each file is read by a step of its own"
    )
    url: str | None = Field(None, description="http: address; sql: SQLAlchemy URL")
    dataset: str | None = Field(
        None, description="sklearn: breast_cancer, ...; kaggle: owner/name"
    )
    file: str | None = Field(None, description="kaggle: file inside the dataset")
    query: str | None = Field(None, description="sql: a SELECT with an ORDER BY")
    read: CsvFormat | None = None
    timeout_seconds: float = Field(60.0, gt=0)
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="http: expected digest of the file"
    )
    rows: int = Field(10_000, ge=10, description="synthetic: number of rows")
    seed: int = Field(0, description="synthetic: seed")
    drift: float = Field(
        0.0, ge=0, description="synthetic: shift of the inputs, in standard deviations"
    )

    @model_validator(mode="after")
    def _fields_match_type(self) -> "SourceSpec":
        needed, optional = SOURCE_FIELDS[self.type]
        given = self.model_fields_set - {"type"}
        missing = sorted(name for name in needed if getattr(self, name) is None)
        if missing:
            raise ValueError(f"source type '{self.type}' needs {', '.join(missing)}")
        surplus = sorted(given - needed - optional)
        if surplus:
            takes = ", ".join(sorted(needed | optional)) or "no other key"
            raise ValueError(
                f"source type '{self.type}' does not take {', '.join(surplus)};"
                f" it takes {takes}"
            )
        return self


class FeaturesSpec(Part):
    """How raw columns become the inputs of the estimator."""

    drop: list[str] = Field(default_factory=list)
    derive: dict[str, str] = Field(
        default_factory=dict, description="new column: expression over raw columns"
    )
    numeric: list[str] = Field(
        default_factory=list, description="treat as numbers whatever was read"
    )
    categorical: list[str] = Field(
        default_factory=list, description="treat as categories whatever was read"
    )
    encoding: Literal["auto", "ordinal", "onehot"] = Field(
        "auto", description="auto: ordinal for trees, one-hot and scaling otherwise"
    )


class EstimatorSpec(Part):
    """A scikit-learn classifier by import path, with its parameters."""

    type: str = "sklearn.ensemble.HistGradientBoostingClassifier"
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("type")
    @classmethod
    def _is_import_path(cls, value: str) -> str:
        if (
            not value.startswith("sklearn.")
            or not value.replace(".", "_").isidentifier()
        ):
            raise ValueError(
                f"must be the import path of a scikit-learn classifier such as "
                f"sklearn.linear_model.LogisticRegression, found '{value}'"
            )
        return value


class SearchSpec(Part):
    """Hyper-parameter search by scikit-learn."""

    type: Literal["randomized", "halving"] = "randomized"
    params: dict[str, list[Any]] = Field(description="parameter: values to try")
    iterations: int = Field(10, ge=1, description="candidates of a randomized search")
    folds: int = Field(3, ge=2)
    metric: str = Field("roc_auc", description="a scikit-learn scorer")
    engine: Engine = Field(
        "local", description="ray: candidates are fitted on the cluster of RAY_ADDRESS"
    )


class SplitSpec(Part):
    """Which rows are held out to test."""

    type: Literal["stratified", "time", "file"] = "stratified"
    test_size: float = Field(0.2, gt=0, lt=1)
    seed: int = 0
    column: str | None = Field(None, description="time: rows are ordered by it")
    source: SourceSpec | None = Field(None, description="file: the test rows")

    @model_validator(mode="after")
    def _fields_match_type(self) -> "SplitSpec":
        if (self.type == "time") != (self.column is not None):
            raise ValueError("split type 'time' needs column, and only it takes one")
        if (self.type == "file") != (self.source is not None):
            raise ValueError("split type 'file' needs source, and only it takes one")
        return self


class GateSpec(Part):
    """The rule that a version must pass to be deployed."""

    metric: Literal[
        "accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1"
    ] = "accuracy"
    threshold: float = Field(0.8, ge=0, lt=1, description="the metric must exceed it")
    beat_majority: bool = Field(True, description="better than the majority class")
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


class ModelSpec(Part):
    """One model: the content of ``defs/<model>/defs.yaml``."""

    name: str = Field(pattern=NAME, description="the model's name, snake_case")
    source: SourceSpec
    runtime_sources: list[str] = Field(
        default_factory=list,
        description="what a run may read instead: sql, kaggle, beginnings of addresses",
    )
    target: str = Field(min_length=1, description="column to predict, with two values")
    positive: str | int | float | bool | None = Field(
        None, description="target value that counts as positive; the rarer by default"
    )
    description: str = ""
    owners: list[str] = Field(
        default_factory=list, description="team:NAME or an e-mail address"
    )
    expect: list[dict[str, dict[str, Any]]] = Field(
        default_factory=list, description="Great Expectations rules on the raw data"
    )
    features: FeaturesSpec = Field(default_factory=FeaturesSpec)
    estimator: EstimatorSpec = Field(default_factory=EstimatorSpec)
    search: SearchSpec | None = None
    split: SplitSpec = Field(default_factory=SplitSpec)
    gate: GateSpec = Field(default_factory=GateSpec)
    serving: ServingSpec = Field(default_factory=ServingSpec)
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)
    retention: RetentionSpec = Field(default_factory=RetentionSpec)
    schedule: str | None = Field(CRON_WEEKLY, description="cron in UTC; null for none")
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec)

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value == RELEASE:
            raise ValueError(f"{RELEASE!r} is kept for releases of the platform itself")
        return value

    @field_validator("expect")
    @classmethod
    def _one_expectation_each(
        cls, value: list[dict[str, dict[str, Any]]]
    ) -> list[dict[str, dict[str, Any]]]:
        for item in value:
            if len(item) != 1 or not next(iter(item)).startswith("expect_"):
                raise ValueError(
                    "each item must be one expectation such as"
                    " expect_column_values_to_not_be_null: {column: age},"
                    f" found {item}"
                )
        return value

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None and not CRON.match(value):
            raise ValueError(
                f"'{value}' is not a cron expression of five fields such as 0 2 * * 0"
            )
        return value

    @field_validator("owners")
    @classmethod
    def _are_owners(cls, value: list[str]) -> list[str]:
        for owner in value:
            if not OWNER.match(owner):
                raise ValueError(f"'{owner}' must be team:NAME or an e-mail address")
        return value

    @model_validator(mode="after")
    def _target_is_not_an_input(self) -> "ModelSpec":
        used = {
            *self.features.drop,
            *self.features.numeric,
            *self.features.categorical,
            *self.features.derive,
        }
        if self.target in used:
            raise ValueError(f"features names the target '{self.target}'")
        return self

    def on_this_machine(self) -> "ModelSpec":
        """The same with the local engine, which finds the same answer."""
        if self.search is None:
            return self
        search = self.search.model_copy(update={"engine": "local"})
        return self.model_copy(update={"search": search})
