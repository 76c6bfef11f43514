"""Blocking checks on ``<model>/raw``: its expectations, and its schema contract."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import key, object_metadata
from ml_assets.assets.contract import (
    CLASS_RULES,
    breaches,
    learn_or_block,
    rows_under_contract,
)
from ml_assets.assets.io_managers import runs_of
from ml_assets.core.storage import storage
from ml_assets.quality.names import expectation_names
from ml_assets.spec.model import ModelSpec
from ml_assets.state.tables import DATA_VERSION, Tables
from ml_assets.state.validations import Validations

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "schema_contract"
LISTED = 20
# Rules whose figure is a count or a statistic of many rows.
FIGURES = {
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
    "expect_table_column_count_to_be_between",
    "expect_table_column_count_to_equal",
    "expect_column_mean_to_be_between",
    "expect_column_median_to_be_between",
    "expect_column_stdev_to_be_between",
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
}
# Rules of the contract whose messages hold names, counts and shares only.
WITHOUT_VALUES = {
    "row_count",
    "column_order",
    "repeated_column",
    "new_column",
    "clashing_column",
    "missing_column",
    "missing_values",
}


def refuse_failed(model: str, data_version: str) -> None:
    """Fail a run that would go on with raw data whose checks have failed.

    They stop the run that they are in; this is for one that was asked for without them.
    """
    report = Validations().failed(model, data_version)
    if report is not None:
        raise dg.Failure(
            f"raw data {data_version[:12]} of {model} failed its checks, so that"
            f" nothing is made of it; {storage().url}/{report} says what they"
            f" found; materialize {model}/raw with its checks again",
            allow_retries=False,
        )


def build(spec: ModelSpec) -> dg.Definitions:
    """The checks; a failed one stops the run before any feature is made."""
    raw = key(spec, "raw")
    names = expectation_names(spec.expect)
    sentences = [_sentence(item) for item in spec.expect]
    specs = [
        dg.AssetCheckSpec(name, asset=raw, blocking=True, description=sentence)
        for name, sentence in zip(names, sentences, strict=True)
    ]
    contract = dg.AssetCheckSpec(
        CONTRACT,
        asset=raw,
        blocking=True,
        description=(
            "Columns, types, categories and ranges are those of the last accepted data."
        ),
    )

    @dg.multi_asset_check(
        name=f"{spec.name}__raw_checks",
        specs=[*specs, contract],
        description=f"Great Expectations and the schema contract on {spec.name}/raw.",
    )
    def raw_checks(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckResult]:
        store = Tables()
        # Not as its input, which would be the last data that was accepted.
        made = store.pointer(spec.name, "raw", *runs_of(context.run), unchecked=True)
        yield from check(spec, store.read(spec.name, "raw", made[DATA_VERSION]))

    return dg.Definitions(asset_checks=[raw_checks])


def check(spec: ModelSpec, raw: "pd.DataFrame") -> Iterator[dg.AssetCheckResult]:
    """Validate one raw table, and store the report.

    Data that passes becomes the model's current one, and its contract is learnt; data
    that breaks the contract is recorded, so that it can be accepted.
    """
    from ml_assets.quality import build_report, run_expectations, summarise

    version = str(raw.attrs[DATA_VERSION])
    outcomes = run_expectations(raw, spec.expect)
    rows = rows_under_contract(spec, raw)
    violations = breaches(spec, rows)
    report = build_report(spec.name, version, outcomes, violations, len(raw))
    name = Validations().save(spec.name, version, report)
    shown = without_values(report)
    broken = shown["violations"]
    errors = [item["message"] for item in broken if item["severity"] == "error"]
    passed = report["summary"]["passed"]
    # Classes are fixed by the first training, which no acceptance changes.
    movable = [
        item["message"]
        for item in broken
        if item["severity"] == "error" and item["rule"] not in CLASS_RULES
    ]
    remedy = learn_or_block(spec.name, version, rows, passed, movable)
    for item in shown["expectations"]:
        count = item["unexpected_count"]
        yield dg.AssetCheckResult(
            check_name=item["name"],
            asset_key=key(spec, "raw"),
            passed=item["passed"],
            description=item["message"],
            # Drawn as a curve over runs.
            metadata={} if count is None else {"unexpected_count": count},
        )
    listed = _listed(errors or [item["message"] for item in broken])
    yield dg.AssetCheckResult(
        check_name=CONTRACT,
        asset_key=key(spec, "raw"),
        passed=not errors,
        description=f"{listed}; {remedy}" if remedy else listed,
        metadata={
            "report": dg.MetadataValue.md(summarise(shown)),
            "report_path": object_metadata(name),
        },
    )


def without_values(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report whose messages hold no value of a row: the event log is for everybody.

    Values that broke a rule are in the report's file, where the data is.
    """
    expectations = [
        {**item, "message": _finding(item)} for item in report["expectations"]
    ]
    violations = [{**item, "message": _breach(item)} for item in report["violations"]]
    return {**report, "expectations": expectations, "violations": violations}


def _finding(item: Mapping[str, Any]) -> str:
    """What an expectation found, in counts and statistics."""
    from ml_assets.quality.messages import subject

    if item["passed"] or item["finding"] is not None:
        return str(item["finding"] or item["message"])
    rule, observed = item["expectation"], item["observed"]
    about = f"{subject(rule, item['kwargs'])}: {rule}"
    if item["error"] is not None:
        return f"{about} cannot be evaluated"
    # The figure of a rule on values, such as the set of them, holds the values.
    is_figure = rule in FIGURES and isinstance(observed, int | float)
    return f"{about} does not hold" + (f", found {observed:g}" if is_figure else "")


def _breach(item: Mapping[str, Any]) -> str:
    """How a column breaks the contract."""
    if item["rule"] in WITHOUT_VALUES | CLASS_RULES:
        return str(item["message"])
    return f"column {item['column']}: {item['rule'].replace('_', ' ')}"


def _listed(messages: list[str]) -> str:
    more = len(messages) - LISTED
    listed = "; ".join(messages[:LISTED]) or "as learnt from the last accepted data"
    return f"{listed}; and {more} more" if more > 0 else listed


def _sentence(item: dict[str, dict[str, Any]]) -> str:
    rule, arguments = next(iter(item.items()))
    listed = ", ".join(f"{name}={_shown(value)}" for name, value in arguments.items())
    return f"{rule}({listed})"


def _shown(value: Any) -> str:
    """As Python writes it, but dates as YAML does."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value) if isinstance(value, dt.date) else repr(value)
