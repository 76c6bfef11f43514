"""Blocking checks on ``<model>/raw``: its expectations, and the schema contract."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import TABLES, key
from ml_assets.model import ModelSpec
from ml_assets.quality.names import expectation_names
from ml_assets.resources.tables import DATA_VERSION
from ml_assets.storage import below, storage_root, write_bytes, write_json

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "schema_contract"
LISTED = 20


def contract_path(model: str) -> Path:
    """What the last accepted raw data of a model looked like."""
    return below(storage_root() / "contracts", f"{model}.json")


def report_path(model: str, data_version: str) -> Path:
    """The validation report of one raw table."""
    reports = below(storage_root() / "reports", model)
    return below(reports / "validation", f"{data_version}.json")


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
        ins={"raw": dg.AssetIn(raw, input_manager_key=TABLES)},
        description=f"Great Expectations and the schema contract on {spec.name}/raw.",
    )
    def raw_checks(raw: Any) -> Iterator[dg.AssetCheckResult]:
        yield from check(spec, raw)

    return dg.Definitions(asset_checks=[raw_checks])


def check(spec: ModelSpec, raw: "pd.DataFrame") -> Iterator[dg.AssetCheckResult]:
    """Validate one raw table, keep the report, and learn from data that is accepted."""
    from ml_assets.ml.contract import Contract
    from ml_assets.quality import build_report, run_expectations, summarise

    version = str(raw.attrs[DATA_VERSION])
    outcomes = run_expectations(raw, spec.expect)
    violations = _contract_violations(spec.name, raw)
    report = build_report(spec.name, version, outcomes, violations, len(raw))
    path = report_path(spec.name, version)
    write_json(path, report)
    if report["summary"]["passed"]:
        learnt = Contract.learn(raw).to_json().encode()
        write_bytes(contract_path(spec.name), learnt)
    for outcome in outcomes:
        yield dg.AssetCheckResult(
            check_name=outcome.name,
            asset_key=key(spec, "raw"),
            passed=outcome.passed,
            description=outcome.message,
            metadata=_unexpected(outcome),
        )
    errors = [item for item in violations if item.severity == "error"]
    yield dg.AssetCheckResult(
        check_name=CONTRACT,
        asset_key=key(spec, "raw"),
        passed=not errors,
        description=_told([item.message for item in errors or violations]),
        metadata={
            "report": dg.MetadataValue.md(summarise(report)),
            "report_path": dg.MetadataValue.path(str(path)),
        },
    )


def _unexpected(outcome: Any) -> dict[str, Any]:
    """How many values broke a rule, drawn as a curve over runs, and some of them."""
    found: dict[str, Any] = {}
    if outcome.unexpected_count is not None:
        found["unexpected_count"] = outcome.unexpected_count
    if outcome.examples:
        found["examples"] = dg.MetadataValue.json(list(outcome.examples))
    return found


def _contract_violations(model: str, raw: "pd.DataFrame") -> list[Any]:
    from ml_assets.ml.contract import Contract

    path = contract_path(model)
    if not path.exists():
        return []
    return Contract.from_json(path.read_bytes()).compare(raw)


def _told(messages: list[str]) -> str:
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
