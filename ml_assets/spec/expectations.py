"""Reading the expectations of a model, and refusing wrong ones without data."""

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ml_assets.spec import expectation_library as library

ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].+)?")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ExpectationError(ValueError):
    """An expectation in the YAML is not one that can be evaluated."""


def check_expectations(expectations: Sequence[Mapping[str, Any]]) -> None:
    """Refuse unknown expectations and wrong keywords, without any data.

    This imports Great Expectations (seconds): call it from tests and diagnosis, not
    where a code location loads.

    Parameters
    ----------
    expectations : sequence of dict
        Items of ``expect`` in the YAML: ``{expectation: {keyword: value}}``.

    Raises
    ------
    ExpectationError
        One line for each wrong item: its position, what was found, what it takes.
    """
    problems = []
    for position, item in enumerate(expectations):
        try:
            build(item)
        except ExpectationError as error:
            problems.append(f"expect[{position}] {error}")
    if problems:
        raise ExpectationError("\n".join(problems))


def build(item: Mapping[str, Any], **engine_options: Any) -> Any:
    """The Great Expectations object for one item of the YAML.

    Raises
    ------
    ExpectationError
        If the item is not one known expectation with keywords that it takes.
    """
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ExpectationError(
            "must be one expectation such as"
            f" expect_column_values_to_not_be_null: {{column: age}}, found {item}"
        )
    name, kwargs = next(iter(item.items()))
    cls = _class_of(name)
    if not isinstance(kwargs, Mapping):
        raise ExpectationError(
            f"{name}: keywords must be a mapping, found {kwargs!r};"
            f" it takes {', '.join(library.options_of(cls))}"
        )
    _refuse_surplus(name, kwargs, library.options_of(cls))
    _refuse_contradiction(name, kwargs)
    try:
        return cls(**kwargs, **engine_options)
    except ValueError as error:
        takes = ", ".join(library.options_of(cls))
        raise ExpectationError(
            f"{name}: {_reason(error, kwargs)}; it takes {takes}"
        ) from error


def _class_of(name: str) -> Any:
    if name in library.SQL_ONLY:
        raise ExpectationError(
            f"{name}: needs a SQL database, but the rows are a table in memory"
        )
    known = library.known_expectations()
    if name not in known:
        raise ExpectationError(
            f"{name}: no such expectation{did_you_mean(name, known)}"
        )
    return library.expectation_class(name)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``; did you mean ...?`` with close matches of `word`, or nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _refuse_surplus(
    name: str, kwargs: Mapping[str, Any], options: Sequence[str]
) -> None:
    surplus = [key for key in kwargs if key not in options]
    if surplus:
        raise ExpectationError(
            f"{name}: does not take {', '.join(map(str, surplus))}"
            f"{did_you_mean(surplus[0], options)}; it takes {', '.join(options)}"
        )


def _refuse_contradiction(name: str, kwargs: Mapping[str, Any]) -> None:
    for _, message in contradictions(kwargs):
        raise ExpectationError(f"{name}: {message}")


def contradictions(kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What Great Expectations accepts though no data could ever pass: keyword, why."""
    for keyword in ("column", "column_A", "column_B"):
        if keyword in kwargs and not isinstance(kwargs[keyword], str):
            found = kwargs[keyword]
            yield (
                keyword,
                f"{keyword} must be the name of a column, found {found!r}; put it"
                " between quotes",
            )
    mostly = kwargs.get("mostly", 1)
    if type(mostly) not in (int, float) or not 0 <= mostly <= 1:
        yield "mostly", f"mostly must be between 0 and 1, found {mostly!r}"
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    ends = [
        value if isinstance(value, int | float) else timestamp(value)
        for value in (low, high)
    ]
    if None not in ends and ends[0] > ends[1]:  # type: ignore[operator]
        yield "min_value", f"min_value {low} is above max_value {high}"
    listed = kwargs.get("regex_list")
    patterns = [kwargs.get("regex"), *(listed if isinstance(listed, list) else ())]
    for pattern in patterns:
        try:
            re.compile(pattern if isinstance(pattern, str) else "")
        except re.error as error:
            keyword = "regex" if pattern is kwargs.get("regex") else "regex_list"
            yield keyword, f"'{pattern}' is not a regular expression: {error}"


def timestamp(value: Any) -> float | None:
    """Seconds since 1970 of a date, a time or an ISO 8601 text; None of another value.

    Examples
    --------
    >>> timestamp("1970-01-02"), timestamp("1970-01-01T02:00+01:00"), timestamp("2 Jan")
    (86400.0, 3600.0, None)
    """
    if isinstance(value, str):
        if not ISO.fullmatch(value):
            return None
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, dt.date):
        return None
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    return float((value - EPOCH).total_seconds())


def _reason(error: ValueError, kwargs: Mapping[str, Any]) -> str:
    """What pydantic found wrong, one clause for each keyword."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    clauses: dict[str, str] = {}
    for part in errors():
        keyword = str(part["loc"][0])
        if keyword == "__root__":
            clauses[keyword] = part["msg"]
        elif keyword not in kwargs:
            clauses[keyword] = f"needs {keyword}"
        else:
            found = f"{keyword}: {part['msg']}, found {kwargs[keyword]!r}"
            clauses.setdefault(keyword, found)
    if len(clauses) > 1:
        # A fault of all keywords together follows from what one of them lacks.
        clauses.pop("__root__", None)
    return ", ".join(clauses.values())
