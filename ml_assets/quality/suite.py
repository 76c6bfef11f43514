"""Running the expectations of a model over a table with Great Expectations."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pandas as pd

from ml_assets.core import progress
from ml_assets.ml.frames import with_columns
from ml_assets.quality import conversions, messages
from ml_assets.quality.names import columns_of, expectation_names
from ml_assets.quality.outcome import ExpectationOutcome, distinct, plain
from ml_assets.spec import expectation_library as library
from ml_assets.spec.expectations import build, check_expectations, did_you_mean

# Great Expectations keeps its current context in a global of its own.
_LOCK = threading.Lock()
# How many unexpected values are read to find distinct ones to show.
SCANNED = 100


def run_expectations(
    frame: pd.DataFrame,
    expectations: Sequence[Mapping[str, Any]],
    examples: int = 5,
) -> list[ExpectationOutcome]:
    """Evaluate `expectations` on `frame`, one outcome each, in their order.

    All rules are first asked for yes or no; only those that failed, or that `mostly`
    lets pass with exceptions, are asked again for counts and examples.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows; it is not changed. Strings are read as categories where that
        changes no result, which is several times faster.
    expectations : sequence of dict
        Items of ``expect`` in the YAML: ``{expectation: {keyword: value}}``.
    examples : int, default 5
        Distinct unexpected values that an outcome shows at most.

    Raises
    ------
    ExpectationError
        If an item is not a known expectation with keywords that it takes. A rule that
        cannot be evaluated on this data is a failed outcome instead, with the reason.
    """
    check_expectations(expectations)
    rules: dict[int, Any] = {}
    converted: dict[int, conversions.Converted] = {}
    found: dict[int, ExpectationOutcome] = {}
    groups: dict[tuple[str, ...], list[int]] = {}
    names = expectation_names(expectations)
    for at, item in enumerate(expectations):
        expectation, kwargs = next(iter(item.items()))
        reason = _unreadable(frame, expectation, kwargs)
        if not reason:
            converted[at] = conversions.convert(frame, expectation, kwargs)
            reason = converted[at].reason
        if reason:
            found[at] = _unevaluated(names[at], expectation, kwargs, reason)
            continue
        rules[at] = build({expectation: converted[at].kwargs}, meta={"at": at})
        group = conversions.string_dtype(expectation), *converted[at].columns
        groups.setdefault(group, []).append(at)
    with _LOCK:
        for (dtype, *_), members in groups.items():
            arranged = conversions.with_strings(
                with_columns(frame, converted[members[0]].columns),
                dtype,
                [expectations[n] for n in members],
            )
            progress.report("rules", len(found), len(expectations))
            for at, result in _evaluate(arranged, [rules[n] for n in members]).items():
                counted = library.is_rule_on_values(rules[at])
                read = conversions.as_dates if converted[at].columns else plain
                found[at] = _outcome(
                    names[at], expectations[at], result, counted, examples, read
                )
    return [found[at] for at in range(len(expectations))]


def _unreadable(
    frame: pd.DataFrame, expectation: str, kwargs: Mapping[str, Any]
) -> str | None:
    """Why the columns of a rule cannot be read, or None."""
    if expectation == "expect_column_to_exist":
        return None
    occurrences = Counter(frame.columns)
    for column in columns_of(expectation, kwargs):
        if occurrences[column] == 0:
            known = [str(name) for name in frame.columns]
            hint = did_you_mean(column, known)
            return f"{column} is not in the data{hint or _columns(known)}"
        if occurrences[column] > 1:
            return f"{column} occurs {occurrences[column]} times in the data"
    return None


def _columns(known: list[str]) -> str:
    return f", which has {messages.listed(known)}" if known else ", which has no column"


def _evaluate(frame: pd.DataFrame, rules: list[Any]) -> dict[int, Any]:
    """Great Expectations' result of each rule, by its position in the YAML."""
    with _batch(frame) as batch:
        results = _validate(batch, rules, "BOOLEAN_ONLY")
        unclear = [rule for rule in rules if _is_unclear(rule, results)]
        if unclear:
            details = {"result_format": "BASIC", "partial_unexpected_count": SCANNED}
            results |= _validate(batch, unclear, details)
    return results


def _is_unclear(rule: Any, results: Mapping[int, Any]) -> bool:
    """Whether counts are needed, too: it failed, or `mostly` let it pass."""
    result = results[rule.meta["at"]]
    if _raised(result):
        return False
    return not result.success or getattr(rule, "mostly", 1) != 1


@contextmanager
def _batch(frame: pd.DataFrame) -> Iterator[Any]:
    """`frame` as a batch of a context in memory, which lets go of it at the end."""
    gx = library.great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas(uuid.uuid4().hex)
    asset = source.add_dataframe_asset("rows")
    definition = asset.add_batch_definition_whole_dataframe("all")
    try:
        yield definition.get_batch({"dataframe": frame})
    finally:
        context.data_sources.delete(source.name)


class _Broken(NamedTuple):
    """The result of a rule that made Great Expectations itself fail."""

    exception_info: dict[str, Any]
    success: bool = False
    result: None = None


def _validate(batch: Any, rules: list[Any], result_format: Any) -> dict[int, Any]:
    gx = library.great_expectations()
    suite = gx.ExpectationSuite(name="expect", expectations=rules)
    try:
        results = batch.validate(suite, result_format=result_format).results
    except Exception as error:  # whatever a rule raises is that rule's outcome
        if len(rules) == 1:
            info = {"raised_exception": True, "exception_message": str(error)}
            return {rules[0].meta["at"]: _Broken(info)}
        # The error does not name its rule: ask each alone.
        alone = (_validate(batch, [rule], result_format) for rule in rules)
        return {at: result for results in alone for at, result in results.items()}
    # They come back in an order of Great Expectations' own.
    return {result.expectation_config.meta["at"]: result for result in results}


def _raised(result: Any) -> str | None:
    """The first error message of a rule that could not be evaluated, or None."""
    info = result.exception_info or {}
    parts = [info] if "raised_exception" in info else list(info.values())
    texts = [part["exception_message"] for part in parts if part["raised_exception"]]
    return " ".join(str(texts[0]).split()) if texts else None


def _unevaluated(
    name: str, expectation: str, kwargs: Mapping[str, Any], reason: str
) -> ExpectationOutcome:
    return ExpectationOutcome(
        name=name,
        expectation=expectation,
        kwargs=dict(kwargs),
        passed=False,
        message=f"{messages.subject(expectation, kwargs)}: {reason}",
        error=reason,
    )


def _outcome(
    name: str,
    item: Mapping[str, Any],
    result: Any,
    counted: bool,
    examples: int,
    read: Callable[[Any], Any],
) -> ExpectationOutcome:
    expectation, kwargs = next(iter(item.items()))
    error = _raised(result)
    if error is not None:
        reason = f"{expectation} cannot be evaluated: {error}"
        return _unevaluated(name, expectation, kwargs, reason)
    detail = result.result or {}
    passed = bool(result.success)
    observed = read(plain(detail.get("observed_value")))
    bad = int(detail.get("unexpected_count") or 0)
    unexpected = plain(detail.get("partial_unexpected_list") or ())
    shown = distinct(map(read, unexpected), examples)
    if expectation == "expect_column_values_to_not_be_null":
        shown = ()
    counted = counted and observed is None
    finding = None
    if not counted:
        message = messages.whole(expectation, kwargs, passed, observed, shown)
    elif passed:
        finding = message = messages.passed_values(expectation, kwargs, bad)
    else:
        total = _judged(expectation, detail)
        message = messages.failed_values(expectation, kwargs, bad, total, shown)
        finding = messages.failed_values(expectation, kwargs, bad, total, ())
    # Great Expectations leaves the percentage of no rows open.
    percent = plain(detail.get("unexpected_percent")) or 0.0
    return ExpectationOutcome(
        name=name,
        expectation=expectation,
        kwargs=dict(kwargs),
        passed=passed,
        message=message,
        finding=finding,
        unexpected_count=bad if counted else None,
        unexpected_percent=percent if counted else None,
        examples=shown,
        observed=observed,
    )


def _judged(expectation: str, detail: Mapping[str, Any]) -> int:
    """How many values the rule judged: a missing one is judged by two rules only."""
    rows = int(detail.get("element_count") or 0)
    if expectation.endswith("_be_null"):
        return rows
    return rows - int(detail.get("missing_count") or 0)
