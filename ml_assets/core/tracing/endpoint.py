"""Whether there is a collector, by the variables that OpenTelemetry defines."""

import os
from collections.abc import Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_traced(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an endpoint is set, and tracing is not turned off.

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
