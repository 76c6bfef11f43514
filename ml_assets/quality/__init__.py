"""Expectations in the YAML -> Great Expectations -> named outcomes and a report.

Names are imported when first used: a code location needs `expectation_names` only,
and must not wait for pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_assets.quality.names import expectation_names
    from ml_assets.quality.outcome import ExpectationOutcome
    from ml_assets.quality.report import build_report, summarise
    from ml_assets.quality.suite import run_expectations

__all__ = [
    "ExpectationOutcome",
    "build_report",
    "expectation_names",
    "run_expectations",
    "summarise",
]

MODULES = {
    "ExpectationOutcome": "outcome",
    "build_report": "report",
    "expectation_names": "names",
    "run_expectations": "suite",
    "summarise": "report",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
