"""Whether requests are traced: those of a sampled trace, and a share of the others."""

import os
import re
from collections.abc import Mapping
from random import random
from typing import NamedTuple

_TRACEPARENT = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_RANGE = 2**64
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_traced(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether OpenTelemetry's variables set an endpoint, and do not turn tracing off.

    Examples
    --------
    >>> is_traced({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    True
    >>> is_traced({})
    False
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


class Parent(NamedTuple):
    """The span of a caller: W3C's ``traceparent``."""

    trace: str
    span: str
    is_sampled: bool


def parent_of(traceparent: bytes) -> Parent | None:
    """The caller's span, or None where the header is not what W3C defines.

    Examples
    --------
    >>> parent_of(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").span
    '00f067aa0ba902b7'
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more):
        return None
    if not (trace.strip(b"0") and span.strip(b"0")):
        return None
    return Parent(trace.decode(), span.decode(), bool(int(flags, 16) & _SAMPLED))


class Sampler(NamedTuple):
    """The decision for each trace.

    ``share`` is that of the traces that begin here, ``is_parent_based`` whether the
    decision of a caller is adopted.
    """

    share: float = 1.0
    is_parent_based: bool = True

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Sampler":
        """The sampler of ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG``.

        Raises
        ------
        ValueError
            If they name no sampler, or no share.

        Examples
        --------
        >>> name = "parentbased_traceidratio"
        >>> found = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.1"}
        >>> Sampler.load(found)
        Sampler(share=0.1, is_parent_based=True)
        """
        name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
        kind = name.removeprefix("parentbased_")
        if kind not in _SAMPLERS:
            known = ", ".join(_SAMPLERS)
            raise ValueError(
                f"OTEL_TRACES_SAMPLER: expected one of {known}, with parentbased_"
                f" before it or not, found {name!r}"
            )
        share = {"always_on": 1.0, "always_off": 0.0}.get(kind)
        if share is None:
            share = _share(environ.get("OTEL_TRACES_SAMPLER_ARG") or "1")
        return cls(share, kind != name)

    def begins(self) -> bool:
        """Whether a request that belongs to no trace begins one."""
        # Not for secrets.
        return random() < self.share  # nosec B311

    def follows(self, parent: Parent) -> bool:
        """Whether a request of a caller's trace is traced."""
        if self.is_parent_based:
            return parent.is_sampled
        # Of the trace's id, so that every server decides alike.
        return int(parent.trace[16:], 16) < self.share * _RANGE


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(
            f"OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1, found {text!r}"
        )
    return share
