"""The request schema of a model, read off its training data."""

from collections.abc import Collection, Iterable
from typing import Literal

import pandas as pd
from pandas.api import types

from ml_assets.ml.identifiers import identifier_reason
from ml_assets.records.plan import LISTED, Column, Kind
from ml_assets.records.signature import MAX_CATEGORIES

# As many rows in a thousand may hold a value that no other row holds, in a column whose
# values training has all seen: by Good and Turing, as many of the next rows will hold
# one that it has not.
COMPLETE = 0.001

Unknown = Literal["auto", "reject", "accept"]


def kind_of(column: pd.Series) -> Kind:
    """What JSON calls the values of `column`.

    A float column stays ``number`` even where every value is whole: tomorrow's rows may
    hold a fraction. So does an integer column that a missing value turned into floats,
    because nothing in it shows which of the two it was.

    Raises
    ------
    TypeError
        If the column holds something that a request cannot carry, such as dates, or
        objects that are not all strings (or all booleans).

    Examples
    --------
    >>> kind_of(pd.Series([1, 2]))
    'integer'
    >>> kind_of(pd.Series([1.0, None]))
    'number'
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return kind_of(pd.Series(dtype.categories))
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_integer_dtype(dtype):
        return "integer"
    if types.is_float_dtype(dtype):
        return "number"
    found = types.infer_dtype(column, skipna=True)
    if found in ("string", "empty"):
        return "string"
    if found == "boolean":
        return "boolean"
    raise TypeError(
        f"column {column.name}: expected numbers, booleans or strings,"
        f" found {found} values (dtype {dtype})"
    )


def categories_of(column: pd.Series) -> list[str]:
    """Distinct strings of `column` that rows really hold, sorted.

    Examples
    --------
    >>> categories_of(pd.Series(["b", "a", None, "b"]))
    ['a', 'b']
    """
    return sorted(str(value) for value in column.dropna().unique())


def signature_columns(
    frame: pd.DataFrame,
    columns: Iterable[str],
    unknown: Unknown = "auto",
    texts: Collection[str] = (),
) -> tuple[Column, ...]:
    """The request schema of `columns`, as the training rows `frame` show it.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training rows. Strings may be ``str``, ``object`` or ``category``.
    columns : iterable of str
        Raw input columns of the model, in the order of the signature.
    unknown : {'auto', 'reject', 'accept'}
        Whether a value that training never saw is accepted. ``auto`` refuses it where
        the rows seem to hold every value; ``reject`` wherever values are a choice.
    texts : collection of str
        Columns of free text, of which any value is accepted, and a missing one.

    Returns
    -------
    tuple of Column
        ``nullable`` where training had a missing value; ``categories`` sorted, and None
        where a string column has more than 1,000 distinct values.

    Raises
    ------
    KeyError
        If `frame` lacks one of `columns`.
    TypeError
        If a column holds something that a request cannot carry.

    Examples
    --------
    >>> rows = pd.DataFrame({"age": [39, 50], "sex": ["Male", None]})
    >>> [(c.name, c.kind, c.nullable) for c in signature_columns(rows, rows.columns)]
    [('age', 'integer', False), ('sex', 'string', True)]
    """
    wanted = list(columns)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise KeyError(
            f"the training data has no column {', '.join(missing)};"
            f" it has {', '.join(map(str, frame.columns))}"
        )
    return tuple(
        (
            Column(name=name, kind="string", nullable=True, open=True)
            if name in texts
            else _column(name, frame[name], unknown)
        )
        for name in wanted
    )


def is_complete(values: pd.Series) -> bool:
    """Whether rows to come will hold a value of `values`, but for very few.

    Examples
    --------
    >>> is_complete(pd.Series(["a", "b"] * 500))
    True
    >>> is_complete(pd.Series(["a", "a", "b"]))
    False
    """
    counts = values.value_counts()
    return bool((counts == 1).sum() <= COMPLETE * counts.sum())


def _column(name: str, values: pd.Series, unknown: Unknown) -> Column:
    kind, nullable = kind_of(values), bool(values.isna().any())
    if kind != "string":
        return Column(name=name, kind=kind, nullable=nullable)
    found = categories_of(values)
    if len(found) > MAX_CATEGORIES or identifier_reason(values):
        # Values that name rows are nobody's to read, and no list of them has an end.
        return Column(name=name, kind=kind, nullable=nullable, open=True)
    is_choice = len(found) <= LISTED and is_complete(values)
    return Column(
        name=name,
        kind=kind,
        nullable=nullable,
        categories=tuple(found),
        open=unknown == "accept" or (unknown == "auto" and not is_choice),
    )
