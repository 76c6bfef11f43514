"""Validators of a model's YAML beyond types: names that exist, and fit each other.

The libraries are not imported for it (see `ml_assets.spec.introspection`), as a code
location and ``dg check yaml`` validate every model.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_assets.core.boosters import BOOSTERS
from ml_assets.core.user_code import is_trusted
from ml_assets.spec import user_code
from ml_assets.spec.base import Fault
from ml_assets.spec.expectation_library import ENGINE_OPTIONS, SQL_ONLY
from ml_assets.spec.expectations import contradictions, did_you_mean
from ml_assets.spec.introspection import LibraryClass, find_class, find_rule, rules

# The classes by which scikit-learn says what an estimator is for.
MIXINS = {"classification": "ClassifierMixin", "regression": "RegressorMixin"}
EXAMPLES = {"classifier": "LogisticRegression", "regressor": "Ridge"}
LABEL_NAME = re.compile(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?")
LABEL_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def estimator_faults(path: str, params: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with an estimator's import path, or the names of its parameters."""
    if user_code.is_own(path):
        for at, message in user_code.class_faults(path, params):
            lead = "" if is_trusted(path) else f"{_no_such('classifier', path)}; "
            yield at, lead + message
        for location, message in _nested_faults(params):
            yield ("params", *location), message
        return
    found = find_class(path)
    if path in BOOSTERS:
        if found is not None:
            for location, message in _parameter_faults(path, found, params):
                yield ("params", *location), message
        return
    if found is None or not _kinds(found) & {*MIXINS.values(), "Pipeline"}:
        yield ("type",), _no_such("classifier", path)
        return
    for location, message in _parameter_faults(path, found, params):
        yield ("params", *location), message


def kind_faults(path: str, kind: str) -> Iterator[str]:
    """Why a model of that kind does not take the estimator at an import path."""
    if user_code.is_own(path):
        # What it is for is known once it is imported.
        return
    noun = "regressor" if kind == "regression" else "classifier"
    if path in BOOSTERS:
        if BOOSTERS[path] != kind:
            yield _no_such(noun, path)
        return
    found = find_class(path)
    # What a pipeline does is what its last step does.
    if found is None or not _kinds(found) & {MIXINS[kind], "Pipeline"}:
        yield _no_such(noun, path)


def _kinds(found: LibraryClass) -> set[str]:
    return {kind.node.name for kind in found.lineage()}


def _no_such(noun: str, path: str) -> str:
    return (
        f"'{path}' is not the import path of a scikit-learn {noun}, nor one of"
        f" {', '.join(BOOSTERS)}; one such is sklearn.linear_model.{EXAMPLES[noun]}"
    )


def _parameter_faults(
    path: str, found: LibraryClass, params: Mapping[str, Any]
) -> Iterator[Fault]:
    known = found.parameters()
    for name, value in params.items():
        if known is not None and name not in known:
            yield (
                (name,),
                f"{path} has no parameter '{name}'{did_you_mean(name, known)}; it has"
                f" {', '.join(known)}",
            )
        for location, message in _nested_faults(value):
            yield (name, *location), message


def _nested_faults(value: Any) -> Iterator[Fault]:
    """The same of the estimators inside the value of a parameter."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            for location, message in _nested_faults(item):
                yield (position, *location), message
    if not isinstance(value, Mapping):
        return
    path = value.get("type")
    if not isinstance(path, str):
        for name, item in value.items():
            for location, message in _nested_faults(item):
                yield (name, *location), message
        return
    given = value.get("params") or {}
    params = given if isinstance(given, Mapping) else {}
    if user_code.is_own(path) or path in BOOSTERS:
        yield from estimator_faults(path, params)
        return
    found = find_class(path)
    if found is None:
        yield ("type",), f"'{path}' is not the import path of a class of scikit-learn"
        return
    for location, message in _parameter_faults(path, found, params):
        yield ("params", *location), message


def search_faults(path: str, params: Mapping[str, Sequence[Any]]) -> Iterator[Fault]:
    """What is wrong with the parameters that a search tries."""
    found = None if user_code.is_own(path) else find_class(path)
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
        for location, message in _rule_faults(name, keywords):
            yield (position, name, *location), message


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
            message = f"takes no '{keyword}'{close}; it takes {takes}"
            yield (keyword,), f"{name} {message}"
    for keyword, is_needed in needed.items():
        if is_needed and keyword not in keywords:
            yield (), f"{name} needs {keyword}; it takes {takes}"
    for keyword, message in contradictions(keywords):
        yield (keyword,), f"{name}: {message}"


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
    # It needs numpy, which only models with derived columns need.
    from ml_assets.core.expressions.grammar import Reader

    return list(Reader(expression).columns)


def label_faults(labels: Mapping[str, str]) -> Iterator[Fault]:
    """Names and values that Kubernetes refuses in labels."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not LABEL_NAME.fullmatch(name) or (
            slash and not LABEL_PREFIX.fullmatch(prefix)
        ):
            yield (key,), f"'{key}' is not the name of a label of Kubernetes"
        if value and not LABEL_NAME.fullmatch(value):
            yield (key,), f"'{value}' is not the value of a label of Kubernetes"
