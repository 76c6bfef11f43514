"""From the bytes of a request to checked rows, as fast as Python can."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from ml_assets.records.plan import Signature
from ml_assets.serving.requests.batch import Batch, of_columns
from ml_assets.serving.requests.body_types import BodyDecoder, body_decoder
from ml_assets.serving.requests.entities import check_entities
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.turns import TURN_BYTES, split_rows, transposed, turn
from ml_assets.serving.requests.unseen import OpenColumns
from ml_assets.serving.requests.validation import (
    check_columns,
    check_rows,
    check_size,
    loads,
    shown,
)
from ml_assets.serving.requests.values import found

_LONG = 4096
_Rows = list[tuple[Any, ...]]
_UNSET = msgspec.UNSET
_values = msgspec.structs.astuple
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
    >>> from ml_assets.records.plan import Column
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
        self._decoder = body_decoder(signature.columns)
        self._unseen_decoder = body_decoder(signature.columns, takes_unseen=True)
        self._open = OpenColumns(signature.columns)
        # Such requests seldom come alone, and what fails takes time as well.
        self._expects_unseen = False
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
        self._open_texts = [
            index
            for index, item in enumerate(signature.columns)
            if item.open and index not in self._texts
        ]
        self._may_lack = any(column.optional for column in signature.columns)
        self._plain_names = not any(":" in item.name for item in signature.columns)
        # So many has the body of one row whose texts have none, if it has no other key.
        is_plain = self._plain_names and not self._may_lack
        self._colons_of_one = self._key_colons + 1 if is_plain else -1

    def decode(self, body: bytes, in_turns: bool = False) -> Batch:
        """The rows of `body`, if long in turns that leave the event loop its own.

        Raises
        ------
        Problem
            400, 413 or 422, with the row, the column, what was expected and found.
        """
        in_turns = in_turns and len(body) > TURN_BYTES
        try:
            if self._expects_unseen:
                batch = self._of_unseen(body, in_turns)
            else:
                batch = self._decoded(self._decoder, body, in_turns)
        except (msgspec.MsgspecError, RecursionError):
            batch = self._of_unseen(body, in_turns) if self._open else None
        return self._validated(body) if batch is None else batch

    def _of_unseen(self, body: bytes, in_turns: bool) -> Batch | None:
        """The batch of a body of which some categories may be none that is known."""
        try:
            batch = self._decoded(self._unseen_decoder, body, in_turns)
        except (msgspec.MsgspecError, RecursionError):
            return None
        batch = batch and self._open.with_unseen(batch)
        self._expects_unseen = bool(batch and batch.unseen)
        return batch

    def _decoded(
        self, decoder: BodyDecoder, body: bytes, in_turns: bool
    ) -> Batch | None:
        """The batch of a body; None where it needs the full validation."""
        first: _Rows = []
        if in_turns:
            first, parsed = self._decoded_in_turns(decoder, body)
        else:
            parsed = decoder.body(body)
        rows, columns = parsed.rows, parsed.columns
        if rows is not _UNSET and len(rows) == 1 and not first:
            if body.count(b":") == self._colons_of_one:
                return Batch(1, _values(rows[0]), ())
        if rows is _UNSET:
            if columns is _UNSET:
                return None
            return self._of_columns(body, columns, parsed.entities)
        if columns is not _UNSET:
            return None
        size = len(first) + len(rows)
        # Here, because the full validation would decode all of them once more.
        check_size(size, self.max_rows)
        values = [*first, *map(_values, rows)]
        return self._of_rows(body, values, parsed.entities, in_turns)

    def _decoded_in_turns(self, decoder: BodyDecoder, body: bytes) -> tuple[_Rows, Any]:
        """The first rows of a long body, and its rest as an object."""
        (*parts, last), start = split_rows(body)
        first: _Rows = []
        rest = start + last if parts else body
        try:
            for part in parts:
                with turn():
                    first += map(_values, decoder.rows(b"".join((b"[", part, b"]"))))
                check_size(len(first), self.max_rows, "at least ")
        except msgspec.ValidationError:
            # Decoded whole, the body would be refused for the same value.
            raise
        except msgspec.MsgspecError:
            # It is malformed, or a text holds what may stand between two rows.
            first, rest = [], body
        with turn():
            return first, decoder.body(rest)

    def _of_rows(
        self, body: bytes, values: _Rows, entities: Any, in_turns: bool
    ) -> Batch | None:
        """The batch of decoded rows; None where they need the full validation."""
        size = len(values)
        left_out = sum(map(_left_out, values)) if self._may_lack else 0
        if left_out:
            values = [*map(_filled, values)]
        keys = size * self._key_colons - left_out
        surplus = _colons(body) - keys - _keys_beside(entities)
        columns: Sequence[Sequence[Any]] = []
        if size > 1:
            columns = transposed(values, len(body)) if in_turns else [*zip(*values)]
        if surplus or not self._plain_names:
            texts = columns or [*zip(*values)]
            if not self._is_of_texts(surplus, body, left_out, texts, entities):
                return None
        if size == 1:
            batch = Batch(1, values[0], ())
        else:
            # Rows that lack a key are no text from which each column can be read.
            text = None if left_out or b"\n" in body else _array(body)
            batch = Batch(size, None, columns, values, None, text)
        return batch if entities is _UNSET else _about(batch, entities)

    def _of_columns(self, body: bytes, given: Any, entities: Any) -> Batch | None:
        """The same of decoded columns."""
        columns = list(_values(given))
        left_out = columns.count(_UNSET)
        sizes = {len(column) for column in columns if column is not _UNSET}
        if len(sizes) != 1:
            return None
        check_size(min(sizes), self.max_rows)
        if left_out:
            nothing = [None] * min(sizes)
            columns = [nothing if item is _UNSET else item for item in columns]
        keys = self._key_colons - left_out
        surplus = _colons(body) - keys - _keys_beside(entities)
        if surplus or not self._plain_names:
            if not self._is_of_texts(surplus, body, left_out, columns, entities):
                return None
        batch = of_columns(columns)
        return batch if entities is _UNSET else _about(batch, entities)

    def _is_of_texts(
        self,
        surplus: int,
        body: bytes,
        left_out: int,
        columns: Sequence[Sequence[Any]],
        entities: Any,
    ) -> bool:
        """Whether `surplus` colons beside those of keys are in the strings found.

        Else a key may stand twice in a body, of which msgspec takes the last.
        """
        # A colon may be escaped, and then the body has none for it.
        if b"\\u003" in body or (left_out and not self._plain_names):
            return False
        names = [] if entities is _UNSET else entities
        surplus -= _colons_of([columns[index] for index in self._texts] + [names])
        # Only an unseen category can have one where none of the categories has.
        return not surplus or (
            surplus == _colons_of(columns[index] for index in self._open_texts)
        )

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
        return replace(batch, entities=entities)

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
    if len(entities) != batch.size:
        return None
    return replace(batch, entities=entities, text=None)


def _colons_of(columns: Iterable[Sequence[str | None]]) -> int:
    """How many colons the texts of some columns have."""
    return sum("".join(filter(None, texts)).count(":") for texts in columns)


def _keys_beside(entities: Any) -> int:
    """How many keys a body has beside those of its columns."""
    return 1 if entities is _UNSET else 2


def _array(body: bytes) -> bytes:
    """The only array of a body that holds nothing else."""
    return body[body.index(b"[") : body.rindex(b"]") + 1]


def _colons(body: bytes) -> int:
    """How many colons a body has."""
    if len(body) < _LONG:
        return body.count(b":")
    # Four times as fast, but for what it takes to begin.
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(":")))


def _left_out(row: tuple[Any, ...]) -> int:
    return row.count(msgspec.UNSET)


def _filled(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if value is msgspec.UNSET else value for value in row)
