"""The answers that a version must repeat before it answers anybody."""

from itertools import islice

import msgspec
import numpy as np

from ml_assets.core.tolerance import is_close, scale_of
from ml_assets.serving.runtime.protocol import Refused, Runtime

# Rows that are scored alone as well, each time a bundle is loaded.
ALONE = 8


class Probe(msgspec.Struct, frozen=True):
    """Rows as request columns, and scikit-learn's answer to each.

    An answer is a number, or one for each of several classes.
    """

    columns: list[list[float | int | bool | str | None]]
    answers: list[float | list[float]]


def probe_fault(runtime: Runtime, probe: Probe) -> str:
    """Score the probe rows at once and the first of them alone; the first misfit."""
    expected = np.array(probe.answers)
    try:
        many = runtime.predict_many(probe.columns)
        if many.shape != expected.shape:
            return f"probe answers of shape {many.shape}, expected {expected.shape}"
        alone = [
            runtime.predict_one(list(row)) for row in islice(zip(*probe.columns), ALONE)
        ]
    except Refused as error:
        return f"the {runtime.kind} runtime refuses its probe rows: {error}"
    scale = scale_of(expected)
    for found in (many, np.array(alone)):
        for row in np.flatnonzero(~is_close(found, expected[: len(found)], scale)):
            return (
                f"probe row {row} is answered {found[row].tolist()!r} by the"
                f" {runtime.kind} runtime, expected {expected[row].tolist()!r} as at"
                " training"
            )
    return ""
