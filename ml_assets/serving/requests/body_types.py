"""The types that msgspec decodes the bodies of a version's requests to."""

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from ml_assets.core.decoding import decoder
from ml_assets.records.plan import Column
from ml_assets.serving.requests.entities import ENTITY

_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class BodyDecoder(NamedTuple):
    """Decodes a whole body, or an array of ``rows`` alone."""

    body: Callable[[bytes], Any]
    rows: Callable[[bytes], list[Any]]


def body_decoder(
    columns: tuple[Column, ...], takes_unseen: bool = False
) -> BodyDecoder:
    """Decodes ``rows`` or ``columns``, and ``entities``, to objects with such fields.

    Parameters
    ----------
    columns
        The fields of a row, or of the columns, in this order.
    takes_unseen
        Whether an open column takes a text that is none of its categories.
    """
    if takes_unseen:
        columns = tuple(
            msgspec.structs.replace(item, categories=None) if item.open else item
            for item in columns
        )
    try:
        row = _row_type(columns)
        body = _body_type(columns, row)
    except ValueError:
        # msgspec takes no name with a quote or a backslash.
        return BodyDecoder(_decode_nothing, _decode_nothing)
    rows: Any = list[row]  # type: ignore[valid-type]
    return BodyDecoder(decoder(body).decode, decoder(rows).decode)


def _decode_nothing(_: bytes) -> Any:
    raise msgspec.DecodeError


def _names(columns: tuple[Column, ...]) -> dict[str, str]:
    return {f"c{index}": column.name for index, column in enumerate(columns)}


def _row_type(columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "Row",
        [(f"c{index}", *_field(column)) for index, column in enumerate(columns)],
        # Else the optional ones would have to be the last.
        kw_only=True,
        rename=_names(columns),
        forbid_unknown_fields=True,
        gc=False,
    )


def _body_type(columns: tuple[Column, ...], row: Any) -> type[msgspec.Struct]:
    lists: Any = msgspec.defstruct(
        "Columns",
        [
            (f"c{index}", *_field(column, is_list=True))
            for index, column in enumerate(columns)
        ],
        kw_only=True,
        rename=_names(columns),
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
