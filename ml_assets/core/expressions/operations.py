"""What the operators and functions of an `Expression` do to columns, in float64."""

import ast
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Function = Callable[..., Floats]


class ColumnError(Exception):
    """A column that is absent, or of the wrong kind."""


def _column(values: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    try:
        return values[name]
    except KeyError:
        raise ColumnError(f"there is no column '{name}'") from None


def number_column(values: Mapping[str, NDArray[Any]], name: str) -> Floats:
    """The column `name` as contiguous float64."""
    column = _column(values, name)
    if column.dtype.kind in "biuf":
        plain: Floats = np.ascontiguousarray(column, dtype=np.float64)
        return plain
    for value in column:
        if value is not None and not isinstance(value, (Real, np.bool_)):
            raise ColumnError(
                f"the column '{name}' must hold numbers, found {type(value).__name__};"
                f" compare texts with == or in"
            )
    # numpy reads None as NaN here.
    numbers: Floats = column.astype(np.float64)
    return numbers


def is_missing(values: Mapping[str, NDArray[Any]], name: str) -> Floats:
    """1 where the column `name` is missing, else 0."""
    column = _column(values, name)
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column), dtype=np.float64)
    if column.dtype.kind == "O":
        return np.asarray(_is_none_or_nan(column), dtype=np.float64)
    return np.zeros(len(column), dtype=np.float64)


def text_in(
    values: Mapping[str, NDArray[Any]], name: str, wanted: frozenset[str], negate: bool
) -> Floats:
    """1 where the text is one of `wanted` (or is not, with `negate`), NaN if None."""
    column = _column(values, name)
    if column.dtype.kind not in "OU":
        raise ColumnError(f"the column '{name}' must hold texts, found {column.dtype}")
    found = np.zeros(len(column), dtype=bool)
    for text in wanted:
        found |= column == text
    return np.where(_is_none_or_nan(column), np.nan, found != negate)


def _is_none_or_nan(column: NDArray[Any]) -> NDArray[np.bool_]:
    none: Any = None  # numpy compares each item with it
    missing: NDArray[np.bool_] = np.equal(column, none) | np.not_equal(column, column)
    return missing


def both_true(left: Floats, right: Floats) -> Floats:
    """Three-valued ``and``."""
    false = (left == 0) | (right == 0)
    unknown = np.isnan(left) | np.isnan(right)
    return np.where(false, 0.0, np.where(unknown, np.nan, 1.0))


def either_true(left: Floats, right: Floats) -> Floats:
    """Three-valued ``or``."""
    return negated(both_true(negated(left), negated(right)))


def negated(value: Floats) -> Floats:
    """Three-valued ``not``."""
    return np.where(np.isnan(value), np.nan, value == 0)


def choose(condition: Floats, yes: Floats, no: Floats) -> Floats:
    """`yes` where the condition is true, `no` where false, NaN where unknown."""
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, yes, no))


def clip(value: Floats, low: Floats, high: Floats) -> Floats:
    """`value` kept between `low` and `high`."""
    return np.minimum(np.maximum(value, low), high)


def _comparing(function: Callable[..., Any]) -> Function:
    def compare(left: Floats, right: Floats) -> Floats:
        unknown = np.isnan(left) | np.isnan(right)
        return np.where(unknown, np.nan, function(left, right))

    return compare


BINARY: dict[type[ast.AST], Function] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
}
UNARY: dict[type[ast.AST], Function] = {
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: negated,
}
BOOLEAN: dict[type[ast.AST], Function] = {ast.And: both_true, ast.Or: either_true}
COMPARISON: dict[type[ast.AST], Function] = {
    ast.Eq: _comparing(np.equal),
    ast.NotEq: _comparing(np.not_equal),
    ast.Lt: _comparing(np.less),
    ast.LtE: _comparing(np.less_equal),
    ast.Gt: _comparing(np.greater),
    ast.GtE: _comparing(np.greater_equal),
}
# name: (number of arguments, function)
FUNCTIONS: dict[str, tuple[int, Function]] = {
    "abs": (1, np.abs),
    "clip": (3, clip),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "log1p": (1, np.log1p),
    "maximum": (2, np.maximum),
    "minimum": (2, np.minimum),
    "sqrt": (1, np.sqrt),
    "where": (3, choose),
}
