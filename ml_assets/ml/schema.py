"""The request schema of a model, read off its training data."""

from collections.abc import Iterable

import pandas as pd
from pandas.api import types

from ml_assets.serving.plan import Column, Kind

# Above this many values a column is free text or an identifier, not a choice.
MAX_CATEGORIES = 1_000


def kind_of(column: pd.Series) -> Kind:
    """What JSON calls the values of `column`.

    A float column stays ``number`` even where every value is whole: tomorrow's rows may
    hold a fraction. So does an integer column that a missing value turned into floats,
    because nothing in it says which of the two it was.

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
    frame: pd.DataFrame, columns: Iterable[str]
) -> tuple[Column, ...]:
    """The request schema of `columns`, as the training rows `frame` show it.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training rows. Strings may be ``str``, ``object`` or ``category``.
    columns : iterable of str
        Raw input columns of the model, in the order of the signature.

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
    return tuple(_column(name, frame[name]) for name in wanted)


def _column(name: str, values: pd.Series) -> Column:
    kind = kind_of(values)
    return Column(
        name=name,
        kind=kind,
        nullable=bool(values.isna().any()),
        categories=_choices(values) if kind == "string" else None,
    )


def _choices(values: pd.Series) -> tuple[str, ...] | None:
    found = categories_of(values)
    return tuple(found) if len(found) <= MAX_CATEGORIES else None
