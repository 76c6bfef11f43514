"""A version's answers to rows that were held out, and their figures."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.core.canonical import as_boolean, canonical_text, match_category
from ml_assets.records.plan import Column
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.bundles import fetch_bundle
from ml_assets.state.tables import Tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ml_assets.ml.tasks import Evaluation, Task


class IncomparableError(Exception):
    """A version cannot score rows of today's shape."""


class HeldOut(NamedTuple):
    """The held-out rows of a version.

    ``y`` is their target as ``task`` encodes it, and ``training`` that of the rows that
    the version was trained on.
    """

    rows: "pd.DataFrame"
    y: "NDArray[Any]"
    task: "Task"
    training: "NDArray[Any]"


def held_out_rows(spec: ModelSpec, record: VersionRecord) -> HeldOut:
    """The held-out rows of a version, and their target in its classes."""
    table = Tables().read(spec.name, "features", record.features_version)
    task = task_of_version(spec, record)
    held, target = table[HELD_OUT].to_numpy(), table[spec.target]
    y, training = task.encode(target[held]), task.encode(target[~held])
    if task.name == "regression":
        from ml_assets.ml.tasks.regression import loss_bound

        task = replace(task, bound=loss_bound(training))  # type: ignore[type-var]
    return HeldOut(table[held], y, task.with_rows(table[held]), training)


def task_of_version(spec: ModelSpec, record: VersionRecord) -> "Task":
    """What a version predicts, with the quantile and the costs that `spec` has."""
    from ml_assets.ml.tasks import task_of
    from ml_assets.ml.tasks.costs import costs_of
    from ml_assets.ml.tasks.regression import quantile_of
    from ml_assets.state.bundles import signature_of_version

    quantile, costs = quantile_of(spec.estimator.params), costs_of(spec.decision)
    return task_of(signature_of_version(record), quantile, costs)


def load(record: VersionRecord) -> Any:
    """The fitted pipeline of a version, verified."""
    from ml_assets.serving.models.bundle import load_pipeline

    return load_pipeline(fetch_bundle(record), record.files)


def score(task: "Task", pipeline: Any, rows: "pd.DataFrame") -> "NDArray[np.float64]":
    """The answers of a fitted pipeline to some rows."""
    return task.answers(pipeline, rows[list(pipeline.feature_names_in_)])


def evaluate(
    spec: ModelSpec,
    held: HeldOut,
    answers: "NDArray[np.float64]",
    groups: "pd.DataFrame | None" = None,
) -> "Evaluation":
    """The figures of answers to held-out rows, those of the project's own among them.

    Raises
    ------
    UserMetricError
        If a metric of the project's own cannot be computed.
    """
    from ml_assets.ml.user_metrics import best_constant, user_metrics

    found = held.task.evaluate(held.y, answers, groups, held.training)
    metrics = {**found.metrics, **user_metrics(spec.metrics, held.y, answers)}
    majority, gate = {**found.majority}, spec.gate
    if gate.own_metric is not None and gate.beat_majority:
        majority[gate.main] = best_constant(
            gate.own_metric,
            held.y,
            held.task.constants(held.training),
            gate.lower_is_better(gate.main),
        )
    return replace(found, metrics=metrics, majority=majority)


def as_read(
    columns: Iterable[Column], table: "pd.DataFrame", cells: "pd.DataFrame"
) -> "pd.DataFrame":
    """Rows of a feature table as a version reads them that another table taught.

    What this week's table left out, such as a column with one value, comes from the raw
    `cells` of the same rows.

    Raises
    ------
    IncomparableError
        If neither has a column that the version reads.
    """
    import pandas as pd

    found = {}
    for column in columns:
        rows = table if column.name in table.columns else cells
        if column.name not in rows.columns and not column.optional:
            raise IncomparableError(
                f"it reads the column '{column.name}', which the data no longer has"
            )
        # What a request may leave out is missing where the data lacks it, too.
        values = rows.get(column.name, pd.Series(None, rows.index, dtype=object))
        found[column.name] = _as_kind(values.reset_index(drop=True), column)
    return pd.DataFrame(found)


def _as_kind(values: "pd.Series[Any]", column: Column) -> "pd.Series[Any]":
    """The values as the version's kind of column, however this week spells them."""
    from pandas import to_numeric
    from pandas.api import types

    is_truth = types.is_bool_dtype(values.dtype)
    is_number = types.is_numeric_dtype(values.dtype) and not is_truth
    if column.kind == "string":
        if not (is_truth or is_number):
            return values
        known = column.categories or ()
        return values.map(
            lambda value: match_category(known, value) or canonical_text(value),
            "ignore",
        )
    if column.kind == "boolean":
        return values if is_truth else values.astype(object).map(_as_truth, "ignore")
    return values if is_number else to_numeric(values.astype(object), errors="coerce")


def _as_truth(value: Any) -> bool:
    found = as_boolean(value)
    return bool(float(value)) if found is None else found
