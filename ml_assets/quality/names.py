"""Readable, unique names of expectations, made without Great Expectations."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_LENGTH = 100
# Words of an expectation that add nothing once the column is in front.
PREFIX = re.compile(r"^expect_(table_|column_(values_)?)?")
FILLERS = {"to", "be"}


def expectation_names(expectations: Sequence[Mapping[str, Any]]) -> list[str]:
    """One name for each expectation, fit for an asset check and a metric label.

    Parameters
    ----------
    expectations : sequence of dict
        Items of ``expect`` in the YAML: ``{expectation: {keyword: value}}``.

    Examples
    --------
    >>> expectation_names([
    ...     {"expect_column_values_to_be_between":
    ...         {"column": "age", "min_value": 0, "max_value": 120}},
    ...     {"expect_column_values_to_not_be_null": {"column": "age"}},
    ...     {"expect_table_row_count_to_be_between": {"min_value": 1000}},
    ... ])
    ['age_between_0_and_120', 'age_not_null', 'row_count_at_least_1000']
    """
    items = (next(iter(item.items())) for item in expectations)
    return _distinct(_name(name, kwargs or {}) for name, kwargs in items)


def columns_of(expectation: str, kwargs: Mapping[str, Any]) -> list[str]:
    """Columns whose values an expectation reads: none for one on the table."""
    if expectation.startswith("expect_table_"):
        return []
    listed = kwargs.get("column_list")
    named = [kwargs.get(key) for key in ("column", "column_A", "column_B")]
    found = [*named, *(listed if isinstance(listed, list | tuple) else ())]
    return [column for column in found if isinstance(column, str)]


def _name(expectation: str, kwargs: Mapping[str, Any]) -> str:
    words = PREFIX.sub("", expectation).split("_")
    rule = "_".join(word for word in words if word not in FILLERS)
    if rule == "exist":
        rule = "exists"
    if rule.endswith("between"):
        rule = rule.removesuffix("between") + _bounds(kwargs)
    elif rule.endswith("equal") and "value" in kwargs:
        rule = f"{rule}_{_value(kwargs['value'])}"
    columns = "_and_".join(columns_of(expectation, kwargs))
    mostly = kwargs.get("mostly", 1)
    share = "" if mostly == 1 else f"for_{_value(mostly)}"
    name = "_".join(part for part in (columns, rule, share) if part)
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:MAX_LENGTH] or "expectation"


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        return "between"
    if high is None:
        return f"at_least_{_value(low)}"
    if low is None:
        return f"at_most_{_value(high)}"
    return f"between_{_value(low)}_and_{_value(high)}"


def _value(value: Any) -> str:
    """`value` for a name: a minus sign would vanish with the other punctuation."""
    return re.sub(r"^-", "minus_", str(value))


def _distinct(names: Iterable[str]) -> list[str]:
    found: list[str] = []
    used: set[str] = set()
    for name in names:
        candidate, number = name, 2
        while candidate in used:
            candidate, number = f"{name}_{number}", number + 1
        used.add(candidate)
        found.append(candidate)
    return found
