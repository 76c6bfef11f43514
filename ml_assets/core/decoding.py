"""Typed decoding, which any number of threads may begin at once.

msgspec resolves the fields of a Struct when a decoder first comes to it, and shows the
half that is resolved to every other thread that comes meanwhile: that one reads null
pointers, and the process ends (msgspec 0.22). So types are resolved here one at a time.
"""

import threading
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_RESOLVING = threading.Lock()


@overload
def decoder(kind: type[T]) -> msgspec.json.Decoder[T]: ...


@overload
def decoder(kind: Any) -> msgspec.json.Decoder[Any]: ...


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder of JSON, whose caller keeps it."""
    with _RESOLVING:
        return msgspec.json.Decoder(kind)


@overload
def from_json(data: bytes | str, kind: type[T]) -> T: ...


@overload
def from_json(data: bytes | str, kind: Any) -> Any: ...


def from_json(data: bytes | str, kind: Any) -> Any:
    """JSON as an object of `kind`.

    Raises
    ------
    msgspec.DecodeError
        If `data` is not JSON.
    msgspec.ValidationError
        If it is of another kind.
    """
    return _resolved(kind).decode(data)


@overload
def from_msgpack(data: bytes | bytearray, kind: type[T]) -> T: ...


@overload
def from_msgpack(data: bytes | bytearray, kind: Any) -> Any: ...


def from_msgpack(data: bytes | bytearray, kind: Any) -> Any:
    """MessagePack as an object of `kind`; raises as `from_json` does."""
    _resolved(kind)
    return msgspec.msgpack.decode(data, type=kind)


@overload
def from_builtins(value: Any, kind: type[T], *, strict: bool = True) -> T: ...


@overload
def from_builtins(value: Any, kind: Any, *, strict: bool = True) -> Any: ...


def from_builtins(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """Dictionaries, lists and scalars as an object of `kind`.

    Parameters
    ----------
    strict
        Whether text is no number; without, ``"1"`` is 1 where an integer is expected.

    Raises
    ------
    msgspec.ValidationError
        If `value` is of another kind.
    """
    _resolved(kind)
    return msgspec.convert(value, kind, strict=strict)


def _resolved(kind: Any) -> msgspec.json.Decoder[Any]:
    """The one decoder of `kind`."""
    found = _DECODERS.get(kind)
    if found is None:
        found = _DECODERS.setdefault(kind, decoder(kind))
    return found
