"""Spans as plain values, so that most of what makes them needs no OpenTelemetry."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Attribute = str | bool | int | float
Attributes = Mapping[str, Attribute]


class Moment(NamedTuple):
    """Something that happened during a span, in Unix nanoseconds."""

    name: str
    time: int
    attributes: Attributes


class Link(NamedTuple):
    """Another span that this one follows from; ids in hexadecimal."""

    trace: str
    span: str
    attributes: Attributes


class Span(NamedTuple):
    """One span; ids are in hexadecimal, times in Unix nanoseconds.

    ``error`` says why it failed; None where it did not. The parent of a `server` span
    is in another process.
    """

    trace: str
    id: str
    parent: str | None
    name: str
    start: int
    end: int
    attributes: Attributes
    kind: Literal["internal", "server"] = "internal"
    moments: Sequence[Moment] = ()
    links: Sequence[Link] = ()
    error: str | None = None
