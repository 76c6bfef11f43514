"""Expectations in the YAML -> Great Expectations -> named outcomes and a report."""

from ml_assets.quality.definition import ExpectationError, check_expectations
from ml_assets.quality.names import expectation_names
from ml_assets.quality.outcome import ExpectationOutcome
from ml_assets.quality.report import build_report, summarise
from ml_assets.quality.suite import run_expectations

__all__ = [
    "ExpectationError",
    "ExpectationOutcome",
    "build_report",
    "check_expectations",
    "expectation_names",
    "run_expectations",
    "summarise",
]
