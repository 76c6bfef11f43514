"""What a model's YAML means, beyond its form: names that exist, and fit each other.

The libraries are not imported for it (see `ml_assets.spec.installed`), as a code
location and ``dg check yaml`` look at every model.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from ml_assets.spec.expectation_library import ENGINE_OPTIONS, SQL_ONLY
from ml_assets.spec.expectations import contradictions, did_you_mean
from ml_assets.spec.installed import Class, find_class, find_rule, rules

Place = tuple[str | int, ...]
Fault = tuple[Place, str]

LABEL_NAME = re.compile(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?")
LABEL_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def refuse(faults: Iterable[Fault]) -> None:
    """Raise pydantic's error, if there is a fault, with the place of each."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("meaning", "{told}", {"told": told}),
            loc=place,
            input=None,
        )
        for place, told in faults
    ]
    if details:
        raise ValidationError.from_exception_data("model", details)


def estimator_faults(path: str, params: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with a classifier's import path, or the names of its parameters."""
    found = find_class(path)
    # What a pipeline does is what its last step does.
    kinds = {kind.node.name for kind in found.lineage()} if found else set()
    if found is None or not kinds & {"ClassifierMixin", "Pipeline"}:
        yield (
            ("type",),
            f"'{path}' is not the import path of a scikit-learn classifier; one such"
            " is sklearn.linear_model.LogisticRegression",
        )
        return
    for place, told in _parameter_faults(path, found, params):
        yield ("params", *place), told


def _parameter_faults(
    path: str, found: Class, params: Mapping[str, Any]
) -> Iterator[Fault]:
    known = found.parameters()
    for name, value in params.items():
        if known is not None and name not in known:
            yield (
                (name,),
                f"{path} has no parameter '{name}'{did_you_mean(name, known)}; it has"
                f" {', '.join(known)}",
            )
        for place, told in _nested_faults(value):
            yield (name, *place), told


def _nested_faults(value: Any) -> Iterator[Fault]:
    """The same of the estimators inside the value of a parameter."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            for place, told in _nested_faults(item):
                yield (position, *place), told
    if not isinstance(value, Mapping):
        return
    path = value.get("type")
    if not isinstance(path, str):
        for name, item in value.items():
            for place, told in _nested_faults(item):
                yield (name, *place), told
        return
    found = find_class(path)
    if found is None:
        yield ("type",), f"'{path}' is not the import path of a class of scikit-learn"
        return
    params = value.get("params") or {}
    for place, told in _parameter_faults(
        path, found, params if isinstance(params, Mapping) else {}
    ):
        yield ("params", *place), told


def search_faults(path: str, params: Mapping[str, Sequence[Any]]) -> Iterator[Fault]:
    """What is wrong with the parameters that a search tries."""
    found = find_class(path)
    known = found.parameters() if found else None
    for name, values in params.items():
        # Only the names of the estimator's own step are known without it.
        own = name.removeprefix("estimator__")
        is_own = "__" not in name or own != name
        if known is not None and is_own and own.partition("__")[0] not in known:
            yield (
                (name,),
                f"{path} has no parameter '{name}'{did_you_mean(name, known)}; it has"
                f" {', '.join(known)}",
            )
        elif not values:
            yield (name,), "names no value to try"


def expectation_faults(expect: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """What is wrong with the rules under ``expect``: names, keywords and values."""
    for position, item in enumerate(expect):
        if len(item) != 1:
            yield (
                (position,),
                "must be one rule such as expect_column_values_to_not_be_null:"
                f" {{column: age}}, found {', '.join(map(str, item)) or 'nothing'}",
            )
            continue
        name, keywords = next(iter(item.items()))
        for place, told in _rule_faults(name, keywords):
            yield (position, name, *place), told


def _rule_faults(name: str, keywords: Mapping[str, Any]) -> Iterator[Fault]:
    if name in SQL_ONLY:
        yield (), f"{name}: needs a SQL database, but the rows are a table in memory"
        return
    known = rules()
    found = find_rule(name) if name in known else None
    if found is None:
        close = did_you_mean(name, known)
        yield (), f"{name}: Great Expectations has no such rule{close}"
        return
    needed = {
        field: is_needed
        for field, is_needed in found.fields().items()
        if field not in ENGINE_OPTIONS
    }
    takes = ", ".join(sorted(needed, key=lambda field: not needed[field]))
    for keyword in keywords:
        if keyword not in needed:
            close = did_you_mean(keyword, needed)
            told = f"takes no '{keyword}'{close}; it takes {takes}"
            yield (keyword,), f"{name} {told}"
    for keyword, is_needed in needed.items():
        if is_needed and keyword not in keywords:
            yield (), f"{name} needs {keyword}; it takes {takes}"
    for keyword, told in contradictions(keywords):
        yield (keyword,), f"{name}: {told}"


def derive_faults(derive: Mapping[str, str]) -> Iterator[Fault]:
    """Expressions that cannot be read."""
    for name, text in derive.items():
        try:
            columns_in(text)
        except ValueError as error:
            yield (name,), str(error)


def columns_in(expression: str) -> list[str]:
    """The columns that an expression reads.

    Raises
    ------
    ExpressionError
        If it cannot be read.
    """
    # It needs numpy, which only who derives columns pays.
    from ml_assets.core.expressions.grammar import Reader

    return list(Reader(expression).columns)


def twice(names: Iterable[str]) -> Iterator[Fault]:
    """Names that stand in one list twice."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            yield (position,), f"'{name}' is named twice"
        seen.add(name)


def label_faults(labels: Mapping[str, str]) -> Iterator[Fault]:
    """Names and values that Kubernetes takes for no label."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not LABEL_NAME.fullmatch(name) or (
            slash and not LABEL_PREFIX.fullmatch(prefix)
        ):
            yield (key,), f"'{key}' is not the name of a label of Kubernetes"
        if value and not LABEL_NAME.fullmatch(value):
            yield (key,), f"'{value}' is not the value of a label of Kubernetes"
