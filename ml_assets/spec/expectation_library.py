"""Great Expectations, loaded when first needed and kept quiet.

Its import takes seconds, so that no module which a code location loads may do it.
"""

import functools
import importlib
import logging
import os
from typing import Any

# Options of every expectation that belong to the engine and not to a rule.
ENGINE_OPTIONS = {
    "batch_id", "catch_exceptions", "description", "id", "meta", "notes",
    "rendered_content", "result_format", "severity", "windows",
}  # fmt: skip

# Rules that Great Expectations evaluates in a SQL database only.
SQL_ONLY = {
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}


@functools.cache
def great_expectations() -> Any:
    """The library, with its usage statistics off unless the environment has them on."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    library = importlib.import_module("great_expectations")
    importlib.import_module("great_expectations.expectations")
    # The one module that sets a level of its own, to log each context it makes.
    chatty = logging.getLogger("great_expectations.data_context.types.base")
    chatty.setLevel(logging.NOTSET)
    return library


def known_expectations() -> list[str]:
    """Names of the expectations that work on a table in memory, sorted."""
    great_expectations()
    registry = importlib.import_module("great_expectations.expectations.registry")
    names: list[str] = registry.list_registered_expectation_implementations()
    return sorted(set(names) - SQL_ONLY)


def expectation_class(name: str) -> Any:
    """The class of the expectation `name`, which must be a known one."""
    great_expectations()
    registry = importlib.import_module("great_expectations.expectations.registry")
    return registry.get_expectation_impl(name)


def options_of(cls: Any) -> list[str]:
    """Keywords that the YAML may give to the expectation class `cls`, needed first."""
    fields = {
        name: field
        for name, field in cls.__fields__.items()
        if name not in ENGINE_OPTIONS
    }
    return sorted(fields, key=lambda name: not fields[name].required)


def is_rule_on_values(expectation: Any) -> bool:
    """Whether the rule is on single values or rows, which can be counted."""
    module = importlib.import_module("great_expectations.expectations.expectation")
    return isinstance(
        expectation,
        (
            module.ColumnMapExpectation,
            module.ColumnPairMapExpectation,
            module.MulticolumnMapExpectation,
        ),
    )
