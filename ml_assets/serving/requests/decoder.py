"""From the bytes of a request to checked rows, as fast as Python can."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.batch import Batch, of_columns
from ml_assets.serving.requests.entities import ENTITY, check_entities
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import (
    check_columns,
    check_rows,
    check_size,
    loads,
    shown,
)
from ml_assets.serving.requests.values import found

_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_LONG = 4096
_SHAPE = '{"rows": [{...}, ...]} or {"columns": {"name": [...], ...}}'
_FORMS = (["rows"], ["columns"], ["entities", "rows"], ["columns", "entities"])


class RowDecoder:
    """Decodes the bodies of one version's requests.

    Parameters
    ----------
    signature
        The columns that a row must have, no more and no fewer.
    max_rows
        A body with more rows is refused with status 413.

    Examples
    --------
    >>> age = Column(name="age", kind="number")
    >>> sex = Column(name="sex", kind="string", categories=("Female", "Male"))
    >>> signature = Signature(
    ...     columns=(age, sex), target="income", negative="<=50K", positive=">50K"
    ... )
    >>> decoder = RowDecoder(signature, max_rows=100)
    >>> decoder.decode(b'{"rows": [{"age": 41, "sex": "Male"}]}').row
    (41.0, 'Male')
    """

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.signature = signature
        self.max_rows = max_rows
        self._decode = _fast_decoder(signature.columns)
        self.names = tuple(column.name for column in signature.columns)
        self._key_colons = sum(1 + name.count(":") for name in self.names)
        self._texts = [
            index
            for index, item in enumerate(signature.columns)
            if item.kind == "string"
            and (
                item.categories is None or any(":" in text for text in item.categories)
            )
        ]
        self._may_lack = any(column.optional for column in signature.columns)
        self._plain_names = not any(":" in item.name for item in signature.columns)

    def decode(self, body: bytes) -> Batch:
        """The rows of `body`.

        Raises
        ------
        Problem
            400, 413 or 422, with the row, the column, what was expected and found.
        """
        try:
            parsed = self._decode(body)
        except (msgspec.MsgspecError, RecursionError):
            return self._validated(body)
        given = parsed.rows, parsed.columns
        if given.count(msgspec.UNSET) != 1:
            return self._validated(body)
        found = self._of_rows(body, parsed) or self._of_columns(body, parsed)
        return self._validated(body) if found is None else found

    def _of_rows(self, body: bytes, parsed: Any) -> Batch | None:
        """The batch of decoded rows; None where they need the full validation."""
        rows, entities = parsed.rows, parsed.entities
        if rows is msgspec.UNSET:
            return None
        # Here, because the full validation would decode all of them once more.
        check_size(len(rows), self.max_rows)
        size = len(rows)
        values = [*map(msgspec.structs.astuple, rows)]
        left_out = sum(map(_left_out, values)) if self._may_lack else 0
        if left_out:
            values = [*map(_filled, values)]
        columns = [] if size == 1 else list(zip(*values))
        keys = size * self._key_colons - left_out
        texts = columns or [(value,) for value in values[0]]
        if not self._has_each_key_once(body, keys, left_out, texts, entities):
            return None
        if size == 1:
            batch = Batch(1, values[0], ())
        else:
            # Rows that lack a key are no text from which each column can be read.
            text = None if left_out or b"\n" in body else _array(body)
            batch = Batch(size, None, columns, values, None, text)
        return _about(batch, entities)

    def _of_columns(self, body: bytes, parsed: Any) -> Batch | None:
        """The same of decoded columns."""
        if parsed.columns is msgspec.UNSET:
            return None
        columns = list(msgspec.structs.astuple(parsed.columns))
        left_out = columns.count(msgspec.UNSET)
        sizes = {len(column) for column in columns if column is not msgspec.UNSET}
        if len(sizes) != 1:
            return None
        check_size(min(sizes), self.max_rows)
        if left_out:
            nothing = [None] * min(sizes)
            columns = [nothing if item is msgspec.UNSET else item for item in columns]
        keys = self._key_colons - left_out
        if not self._has_each_key_once(body, keys, left_out, columns, parsed.entities):
            return None
        return _about(of_columns(columns), parsed.entities)

    def _has_each_key_once(
        self,
        body: bytes,
        keys: int,
        left_out: int,
        columns: Sequence[Sequence[Any]],
        entities: Any,
    ) -> bool:
        """Whether no key stands twice in a body, of which msgspec takes the last.

        Each of the keys that were found has a colon, as many as `keys` together; every
        other colon must be one of the strings that were found.
        """
        surplus = _colons(body) - keys - 1
        names = [] if entities is msgspec.UNSET else entities
        if entities is not msgspec.UNSET:
            surplus -= 1
        if not surplus and self._plain_names:
            return True
        # A colon may be escaped, and then the body has none for it.
        if b"\\u003" in body or (left_out and not self._plain_names):
            return False
        texts = [columns[index] for index in self._texts] + [names]
        return surplus == sum("".join(filter(None, text)).count(":") for text in texts)

    def _validated(self, body: bytes) -> Batch:
        """The rows of a body that the fast decoder does not accept, or its refusal."""
        payload = loads(body)
        if not isinstance(payload, dict):
            raise invalid([FieldError(expected=_SHAPE, found=found(payload))])
        keys = list(payload)
        if sorted(keys) not in _FORMS:
            text = ", ".join(map(shown, keys[:5])) or "no key"
            raise invalid([FieldError(expected=_SHAPE, found=f"an object with {text}")])
        if "rows" in payload:
            batch = self.check_rows(payload["rows"])
        else:
            batch = self.check_columns(payload["columns"])
        if "entities" not in payload:
            return batch
        entities = check_entities(payload["entities"], batch.size)
        return batch._replace(entities=entities)

    def check_columns(self, columns: object) -> Batch:
        """The rows of `columns`, one list of values per name."""
        if not isinstance(columns, dict):
            expected = "an object of one array per column"
            raise invalid([FieldError(expected=expected, found=found(columns))])
        return check_columns(self.signature, columns, self.max_rows)

    def check_rows(self, rows: object) -> Batch:
        """The rows of a list of objects."""
        return check_rows(self.signature, rows, self.max_rows)


def require_object(payload: object, keys: tuple[str, ...]) -> dict[str, Any]:
    """`payload` if it is an object that has no other keys than `keys`."""
    if not isinstance(payload, dict):
        raise invalid([FieldError(expected="an object", found=found(payload))])
    for key in payload:
        if key not in keys:
            detail = f"expected only the keys {', '.join(keys)}, found {shown(key)}"
            raise Problem(422, "invalid-request", detail)
    return payload


def _about(batch: Batch, entities: Any) -> Batch | None:
    """The batch with whom its rows are about; None if those are not as many."""
    if entities is msgspec.UNSET:
        return batch
    if len(entities) != batch.size:
        return None
    return batch._replace(entities=entities, text=None)


def _array(body: bytes) -> bytes:
    """The only array of a body that holds nothing else."""
    return body[body.index(b"[") : body.rindex(b"]") + 1]


def _colons(body: bytes) -> int:
    """How many colons a body has."""
    if len(body) < _LONG:
        return body.count(b":")
    # Four times as fast, but for what it takes to begin.
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(":")))


def _fast_decoder(columns: tuple[Column, ...]) -> Callable[[bytes], Any]:
    try:
        return msgspec.json.Decoder(_body_type(columns)).decode
    except ValueError:
        # msgspec takes no name with a quote or a backslash.
        return _decode_nothing


def _decode_nothing(_: bytes) -> Any:
    raise msgspec.DecodeError


def _body_type(columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    names = {f"c{index}": column.name for index, column in enumerate(columns)}
    row: Any = msgspec.defstruct(
        "Row",
        [(f"c{index}", *_field(column)) for index, column in enumerate(columns)],
        # Else the optional ones would have to be the last.
        kw_only=True,
        rename=names,
        forbid_unknown_fields=True,
        gc=False,
    )
    lists: Any = msgspec.defstruct(
        "Columns",
        [
            (f"c{index}", *_field(column, is_list=True))
            for index, column in enumerate(columns)
        ],
        kw_only=True,
        rename=names,
        forbid_unknown_fields=True,
    )
    return msgspec.defstruct(
        "Body",
        [
            ("rows", list[row] | msgspec.UnsetType, msgspec.UNSET),
            ("columns", lists | msgspec.UnsetType, msgspec.UNSET),
            ("entities", list[ENTITY | None] | msgspec.UnsetType, msgspec.UNSET),
        ],
        forbid_unknown_fields=True,
    )


def _left_out(row: tuple[Any, ...]) -> int:
    return row.count(msgspec.UNSET)


def _filled(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if value is msgspec.UNSET else value for value in row)


def _field(column: Column, is_list: bool = False) -> tuple[Any, ...]:
    """The type of a field, and what it is where a row leaves it out, if it may."""
    kind: Any = list[_type(column)] if is_list else _type(column)  # type: ignore[misc]
    if not column.optional:
        return (kind,)
    return (kind | msgspec.UnsetType, msgspec.UNSET)


def _type(column: Column) -> Any:
    kinds = {"number": float, "integer": _INTEGER, "boolean": bool, "string": str}
    kind: Any = kinds[column.kind]
    if column.categories:
        # The same objects as the keys that the runtime looks them up by.
        kind = Literal[tuple(map(sys.intern, column.categories))]
    return kind | None if column.nullable else kind
