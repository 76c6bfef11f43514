"""Derived features as text: a small expression language evaluated by numpy alone.

Training and the model server evaluate the same `Expression`, so that a derived feature
cannot mean two things. The text is parsed by `ast`, checked node by node against what
is allowed, and turned into closures over numpy; nothing is ever given to `eval`.

Everything is float64. A missing value is NaN and stays NaN through arithmetic and
comparisons; ``and`` and ``or`` know that *false and anything* is false and that *true
or anything* is true. A division by zero gives infinity or NaN, as numpy does.
"""

import functools

import numpy as np

from ml_assets.core.expressions.grammar import ExpressionError, Reader, Values
from ml_assets.core.expressions.operations import ColumnError, Floats

__all__ = ["Expression", "ExpressionError"]


class Expression:
    """A checked expression over columns.

    Parameters
    ----------
    text : str
        The expression. A column whose name is not an identifier stands between
        backticks or in ``col("...")``.

    Attributes
    ----------
    text : str
        As given.
    columns : tuple of str
        The columns it reads, in the order of first use.
    text_columns : frozenset of str
        Those of them that it compares with texts.

    Raises
    ------
    ExpressionError
        With the position, where the text is not a valid expression.

    Examples
    --------
    >>> import numpy as np
    >>> gain = Expression.parse("`capital-gain` - where(sex == 'Male', 1, 0)")
    >>> gain.columns
    ('capital-gain', 'sex')
    >>> sex = np.array(["Male", None], dtype=object)
    >>> gain.evaluate({"capital-gain": np.array([3.0, 5.0]), "sex": sex})
    array([ 2., nan])
    """

    def __init__(self, text: str) -> None:
        self.text = text
        reader = Reader(text)
        self._evaluate = reader.node
        self.columns = tuple(reader.columns)
        self.text_columns = frozenset(reader.text_columns)

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def parse(text: str) -> "Expression":
        """Read `text`, or give the same object again where it was read before."""
        return Expression(text)

    def evaluate(self, values: Values) -> Floats:
        """Evaluate for every row.

        Parameters
        ----------
        values : mapping of str to ndarray of shape (n,)
            The columns: numbers or booleans with NaN for missing, texts as object
            arrays with None (or NaN) for missing.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ExpressionError
            If a column is absent, or holds texts where numbers are needed.
        """
        try:
            with np.errstate(all="ignore"):
                return self._evaluate(values)
        except ColumnError as error:
            raise ExpressionError(f"{error}, in the expression {self.text!r}") from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"
