"""The grammar of expressions: which parts of Python's they may use."""

import ast
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ml_assets.core.expressions import operations
from ml_assets.core.expressions.operations import Floats

Values = Mapping[str, NDArray[Any]]
Node = Callable[[Values], Floats]

MAX_CHARACTERS = 2_000
MAX_NODES = 300
MAX_DEPTH = 32
ALLOWED = (
    "columns, numbers, + - * / // % **, comparisons, and, or, not,"
    " column == 'text', column in ('text', ...), and the functions "
    + ", ".join(sorted([*operations.FUNCTIONS, "col", "isna"]))
)

# A string literal, or a column name between backticks.
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|`([^`]+)`""")


class ExpressionError(ValueError):
    """An expression that cannot be read, or cannot be applied to its columns."""


class Reader:
    """Turns one text into closures, and collects the columns on the way."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quoted: dict[int, str] = {}
        self._nodes = 0
        self.columns: dict[str, None] = {}
        self.text_columns: set[str] = set()
        self._number_columns: set[str] = set()
        if len(text) > MAX_CHARACTERS:
            raise ExpressionError(
                f"an expression may have {MAX_CHARACTERS} characters, found {len(text)}"
            )
        self._source = self._hide_backticks(re.sub(r"\s", " ", text))
        tree = self._parse()
        self.node = self._read(tree, 0)
        if not self.columns:
            self._refuse(tree, "reads no column")

    def _hide_backticks(self, text: str) -> str:
        """Put an identifier of the same length in place of each `column`."""

        def hide(match: re.Match[str]) -> str:
            if match[2] is None:
                return match[0]
            self._quoted[match.start()] = match[2]
            return "_" * len(match[0])

        return _QUOTED.sub(hide, text)

    def _parse(self) -> ast.expr:
        text = self._source.lstrip()
        self._blanks = len(self._source) - len(text)
        if not text:
            self._fail(1, "is empty")
        try:
            return ast.parse(text, mode="eval").body
        except SyntaxError as error:
            found = (error.offset or 1) + self._blanks
            self._fail(min(found, len(self._source) + 1), "is not a valid expression")
        except (RecursionError, MemoryError, ValueError):
            self._fail(1, "is nested too deeply, or holds a null character")

    def _position(self, node: ast.AST, offset: str = "col_offset") -> int:
        """Index into the text of a node, whose offset `ast` counts in bytes."""
        count: int = getattr(node, offset)
        before = self._source[self._blanks :].encode()[:count]
        return len(before.decode()) + self._blanks

    def _segment(self, node: ast.AST) -> str:
        return self._source[
            self._position(node) : self._position(node, "end_col_offset")
        ]

    def _refuse(self, node: ast.AST, problem: str) -> NoReturn:
        self._fail(self._position(node) + 1, problem)

    def _fail(self, position: int, problem: str) -> NoReturn:
        shown = self._text if len(self._text) <= 120 else self._text[:119] + "…"
        raise ExpressionError(
            f"the expression {shown!r} {problem}, at position {position};"
            f" allowed are {ALLOWED}"
        )

    def _read(self, node: ast.expr, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH:
            self._refuse(node, f"is nested deeper than {MAX_DEPTH}")
        if self._nodes > MAX_NODES:
            self._refuse(node, f"has more than {MAX_NODES} parts")
        if isinstance(node, ast.Name):
            return self._number_column(node, self._column_name(node))
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.BinOp) and type(node.op) in operations.BINARY:
            function = operations.BINARY[type(node.op)]
            return self._apply(function, [node.left, node.right], depth)
        if isinstance(node, ast.UnaryOp) and type(node.op) in operations.UNARY:
            return self._apply(operations.UNARY[type(node.op)], [node.operand], depth)
        if isinstance(node, ast.BoolOp):
            both = operations.BOOLEAN[type(node.op)]
            parts = [self._read(value, depth + 1) for value in node.values]
            return functools.reduce(lambda a, b: _combine(both, a, b), parts)
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        self._refuse(node, f"holds {self._segment(node)!r}, which is not allowed")

    def _apply(
        self, function: Callable[..., Floats], parts: list[ast.expr], depth: int
    ) -> Node:
        arguments = [self._read(part, depth + 1) for part in parts]
        if len(arguments) == 2:
            return _combine(function, arguments[0], arguments[1])
        return lambda values: function(*(argument(values) for argument in arguments))

    def _number(self, node: ast.Constant) -> Node:
        if isinstance(node.value, str):
            self._refuse(node, "holds a text that is not compared with a column")
        if not isinstance(node.value, (int, float)):
            self._refuse(node, f"holds {self._segment(node)!r}, which is no number")
        try:
            number = np.asarray(node.value, dtype=np.float64)
        except OverflowError:
            self._refuse(node, "holds a number too large for a float")
        return lambda values: number

    def _column_name(self, node: ast.expr) -> str:
        """The column that `node` names; `ast` would normalise unusual letters."""
        if isinstance(node, ast.Name):
            name = self._quoted.get(self._position(node))
            return name if name is not None else self._segment(node)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "col"
            and len(node.args) == 1
            and not node.keywords
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            return node.args[0].value
        self._refuse(node, f"has {self._segment(node)!r} where a column is needed")

    def _number_column(self, node: ast.expr, name: str) -> Node:
        self._note(node, name, self._number_columns, self.text_columns)
        return lambda values: operations.number_column(values, name)

    def _text_column(self, node: ast.expr) -> str:
        name = self._column_name(node)
        self._note(node, name, self.text_columns, self._number_columns)
        return name

    def _note(self, node: ast.expr, name: str, use: set[str], other: set[str]) -> None:
        if name in other:
            self._refuse(node, f"uses the column '{name}' both as text and as number")
        use.add(name)
        self.columns.setdefault(name)

    def _call(self, node: ast.Call, depth: int) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name == "col":
            return self._number_column(node, self._column_name(node))
        if name == "isna" and len(node.args) == 1 and not node.keywords:
            column = self._column_name(node.args[0])
            self.columns.setdefault(column)
            return lambda values: operations.is_missing(values, column)
        if name not in operations.FUNCTIONS:
            self._refuse(node, f"calls {self._segment(node.func)!r}, which is unknown")
        count, function = operations.FUNCTIONS[name]
        if node.keywords or len(node.args) != count:
            self._refuse(node, f"calls {name} with other than {count} arguments")
        return self._apply(function, node.args, depth)

    def _comparison(self, node: ast.Compare, depth: int) -> Node:
        sides = [node.left, *node.comparators]
        pairs = [
            self._pair(left, operator, right, depth)
            for left, operator, right in zip(sides, node.ops, node.comparators)
        ]
        return functools.reduce(
            lambda a, b: _combine(operations.both_true, a, b), pairs
        )

    def _pair(
        self, left: ast.expr, operator: ast.cmpop, right: ast.expr, depth: int
    ) -> Node:
        if isinstance(operator, (ast.In, ast.NotIn)):
            column = self._text_column(left)
            wanted = self._texts(right)
        elif isinstance(operator, (ast.Eq, ast.NotEq)) and _is_text(right):
            column, wanted = self._text_column(left), self._texts(right)
        elif isinstance(operator, (ast.Eq, ast.NotEq)) and _is_text(left):
            column, wanted = self._text_column(right), self._texts(left)
        elif type(operator) in operations.COMPARISON:
            function = operations.COMPARISON[type(operator)]
            return self._apply(function, [left, right], depth)
        else:
            self._refuse(right, "compares with 'is', which is not allowed")
        negate = isinstance(operator, (ast.NotEq, ast.NotIn))
        return lambda values: operations.text_in(values, column, wanted, negate)

    def _texts(self, node: ast.expr) -> frozenset[str]:
        items = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]
        texts = [
            item.value
            for item in items
            if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]
        if len(texts) != len(items) or not texts:
            self._refuse(node, "needs a text or a list of texts here")
        return frozenset(texts)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _combine(function: Callable[..., Floats], left: Node, right: Node) -> Node:
    return lambda values: function(left(values), right(values))
