"""The compiled form of a pipeline: a small program over columns, beside its tables."""

from typing import Literal

import msgspec

Kernel = Literal["masks", "walk", "linear"]


class TablesError(ValueError):
    """Tables that do not fit their program, so that no lookup in them would be safe."""


class NumericSource(msgspec.Struct, frozen=True, kw_only=True):
    """A column used as a number: ``column`` of the request, or ``derived``.

    Exactly one of the two is not None; each is an index.
    """

    column: int | None = None
    derived: int | None = None


class CategorySource(msgspec.Struct, frozen=True, kw_only=True):
    """A request column used as a category.

    Category k has code k, a missing value the code after the last, and an unknown value
    the one after that.
    """

    column: int
    categories: list[float | int | bool | str]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How to answer: expressions, sources, and which kernel reads the tables.

    ``link`` turns the sum of an ensemble into a probability: ``logit`` is the logistic
    function, ``mean`` divides by ``count``, ``complement`` comes after it where the
    positive class is the estimator's first.
    """

    kernel: Kernel
    expressions: list[str]
    numeric: list[NumericSource]
    category: list[CategorySource]
    link: Literal["logit", "mean"]
    count: int = 1
    complement: bool = False
