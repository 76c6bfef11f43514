"""Sentences on what an expectation found."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ml_assets.quality.names import columns_of

MAX_LISTED = 10

# What values that pass do. The range and the other keywords are filled in.
GOOD = {
    "expect_column_values_to_be_between": "are {range}",
    "expect_column_values_to_not_be_null": "are not missing",
    "expect_column_values_to_be_null": "are missing",
    "expect_column_values_to_be_in_set": "are one of {value_set}",
    "expect_column_values_to_not_be_in_set": "are not one of {value_set}",
    "expect_column_values_to_be_unique": "are unique",
    "expect_column_values_to_match_regex": "match {regex}",
    "expect_column_values_to_not_match_regex": "do not match {regex}",
    "expect_column_values_to_match_regex_list": "match {regex_list}",
    "expect_column_values_to_not_match_regex_list": "do not match {regex_list}",
    "expect_column_values_to_match_strftime_format": "match {strftime_format}",
    "expect_column_values_to_be_dateutil_parseable": "are dates",
    "expect_column_values_to_be_json_parseable": "are JSON",
    "expect_column_values_to_be_increasing": "are increasing",
    "expect_column_values_to_be_decreasing": "are decreasing",
    "expect_column_values_to_be_of_type": "are of type {type_}",
    "expect_column_values_to_be_in_type_list": "are of type {type_list}",
    "expect_column_value_lengths_to_be_between": "are {range} characters long",
    "expect_column_value_lengths_to_equal": "are exactly {value} characters long",
    "expect_compound_columns_to_be_unique": "are unique together",
}

# How a phrase is turned into its opposite; the first that fits.
OPPOSITE = [
    ("are not ", "are "),
    ("are within ", "are outside "),
    ("are at least ", "are below "),
    ("are at most ", "are above "),
    ("are ", "are not "),
    ("do not ", ""),
    ("", "do not "),
]


def subject(expectation: str, kwargs: Mapping[str, Any]) -> str:
    """``column age``, ``columns a, b`` or ``the table``."""
    columns = columns_of(expectation, kwargs)
    if not columns:
        return "the table"
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"


def failed_values(
    expectation: str, kwargs: Mapping[str, Any], bad: int, of: int, shown: Sequence[Any]
) -> str:
    """`bad` of `of` values break a rule on single values; `shown` are some of them.

    Examples
    --------
    >>> rule = {"column": "age", "min_value": 0, "max_value": 120}
    >>> failed_values("expect_column_values_to_be_between", rule, 3, 32561, [999])
    'column age: 3 of 32,561 values are outside 0..120, e.g. 999'
    """
    phrase = _phrase(expectation, kwargs)
    for start, opposite in OPPOSITE:
        if phrase.startswith(start):
            phrase = opposite + phrase.removeprefix(start)
            break
    examples = f", e.g. {listed(shown)}" if shown else ""
    least = kwargs.get("mostly", 1)
    allowed = "" if least == 1 else f" (at most {100 * (1 - least):.6g} % may)"
    return (
        f"{subject(expectation, kwargs)}: {bad:,} of {of:,} {_unit(kwargs)} {phrase}"
        f"{examples}{allowed}"
    )


def passed_values(expectation: str, kwargs: Mapping[str, Any], bad: int) -> str:
    """A rule on single values holds, but for `bad` of them that `mostly` allows.

    Examples
    --------
    >>> passed_values("expect_column_values_to_not_be_null", {"column": "age"}, 0)
    'column age: all values are not missing'
    """
    but = f" but {bad:,}, which mostly {kwargs.get('mostly')} allows" if bad else ""
    about = subject(expectation, kwargs)
    return f"{about}: all {_unit(kwargs)} {_phrase(expectation, kwargs)}{but}"


def whole(
    expectation: str,
    kwargs: Mapping[str, Any],
    passed: bool,
    observed: Any = None,
    unexpected: Sequence[Any] = (),
) -> str:
    """A rule on a whole column or table holds or does not.

    Examples
    --------
    >>> rule = {"column": "age", "min_value": 0, "max_value": 120}
    >>> whole("expect_column_mean_to_be_between", rule, False, 334.0)
    'column age: mean expected to be between 0 and 120, found 334'
    """
    rule = re.sub("^expect_(column_|table_)?", "", expectation)
    noun, _, relation = rule.partition("to_")
    parts = [noun, "expected_to", relation, _limits(expectation, kwargs)]
    if relation == "be_between" and {"min_value", "max_value"} & set(kwargs):
        parts[2:] = ["be", _interval(kwargs)]
    words = [part.strip("_").replace("_", " ") for part in parts[:-1]] + parts[-1:]
    text = f"{subject(expectation, kwargs)}: {' '.join(filter(None, words))}"
    if passed:
        return f"{text}, as found"
    if observed is not None:
        text += f", found {_top(observed) or 'nothing'}"
    if unexpected:
        text += f", unexpected {listed(unexpected)}"
    return text if observed is not None or unexpected else f"{text}; it does not hold"


def listed(values: Sequence[Any]) -> str:
    """`values` separated by commas, numbers short, cut after ten.

    Examples
    --------
    >>> listed([1.0, "a", None, ("x", "y")])
    '1, a, null, (x, y)'
    """
    more = f" and {len(values) - MAX_LISTED} more" if len(values) > MAX_LISTED else ""
    return ", ".join(_text(value) for value in values[:MAX_LISTED]) + more


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | Mapping):
        return f"({_top(value)})"
    return str(value)


def _top(value: Any) -> str:
    """As `_text`, without parentheses around the outermost list."""
    if isinstance(value, list | tuple):
        return listed(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    return _text(value)


def _phrase(expectation: str, kwargs: Mapping[str, Any]) -> str:
    pattern = GOOD.get(expectation)
    if pattern is None:
        limits = _limits(expectation, kwargs)
        return f"pass {expectation}" + (f" ({limits})" if limits else "")
    texts = {key: _top(value) for key, value in kwargs.items()}
    return pattern.format_map({"range": _range(kwargs), **texts})


def _unit(kwargs: Mapping[str, Any]) -> str:
    return "values" if "column" in kwargs else "rows"


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if high is None:
        return f"at least {_text(low)}{_ends(kwargs)}"
    if low is None:
        return f"at most {_text(high)}{_ends(kwargs)}"
    return f"within {_text(low)}..{_text(high)}{_ends(kwargs)}"


def _interval(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None or high is None:
        return _range(kwargs)
    return f"between {_text(low)} and {_text(high)}{_ends(kwargs)}"


def _ends(kwargs: Mapping[str, Any]) -> str:
    strict = kwargs.get("strict_min") or kwargs.get("strict_max")
    return " (ends excluded)" if strict else ""


def _limits(expectation: str, kwargs: Mapping[str, Any]) -> str:
    """The keywords but columns, as text."""
    named = {"column", "column_A", "column_B", "mostly"}
    if not expectation.startswith("expect_table_"):
        named.add("column_list")
    rest = {
        key: value
        for key, value in kwargs.items()
        if key not in named and value is not None
    }
    return _top(next(iter(rest.values())) if len(rest) == 1 else rest)
