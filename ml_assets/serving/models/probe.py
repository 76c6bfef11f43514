"""The answers that a version must repeat before it answers anybody."""

import platform
from collections.abc import Callable
from itertools import islice
from statistics import median
from time import perf_counter
from typing import NamedTuple

import msgspec
import numpy as np

from ml_assets.core.tolerance import is_repeated
from ml_assets.serving.runtime.protocol import Refused, Runtime

# Rows that are scored alone as well, each time a bundle is loaded.
ALONE = 8
_REPEATS = 5
_LONGEST_SECONDS = 0.5


class Probe(msgspec.Struct, frozen=True):
    """Rows as request columns, and scikit-learn's answer to each.

    An answer is a number, or one for each of several classes. ``machine`` is where
    they were given, as `this_machine` has it; empty of bundles of older releases.
    """

    columns: list[list[float | int | bool | str | None]]
    answers: list[float | list[float]]
    machine: str = ""


class Speed(NamedTuple):
    """What a request costs: seconds of one row alone, and of each of several.

    ``row_bytes`` is the mean length of a probe row as an object of JSON.
    """

    seconds: float
    row_seconds: float
    row_bytes: float

    def rows_within(self, seconds: float) -> int:
        """The most rows whose answer takes no longer; 0 if one row alone does.

        Examples
        --------
        >>> [Speed(1e-3, 1e-4, 80).rows_within(it) for it in (5e-4, 1e-3, 2e-3)]
        [0, 1, 11]
        """
        if self.seconds > seconds:
            return 0
        return 1 + round((seconds - self.seconds) / self.row_seconds)

    def bytes_of(self, rows: int) -> int:
        """The longest body that is taken for one of so many rows: twice the usual."""
        return int(2 * self.row_bytes * rows)


def speed_of(runtime: Runtime, probe: Probe) -> Speed:
    """Measure a runtime on the probe rows: the median of several times each."""
    row = [column[0] for column in probe.columns]
    size = len(probe.answers)
    named = dict(zip((item.name for item in runtime.signature.columns), probe.columns))
    return Speed(
        _median_seconds(lambda: runtime.predict_one(row)),
        max(_median_seconds(lambda: runtime.predict_many(probe.columns)) / size, 1e-9),
        len(msgspec.json.encode(named)) / size + len(msgspec.json.encode([*named])),
    )


def _median_seconds(call: Callable[[], object]) -> float:
    """The median of five times, or of fewer where those take long."""
    found: list[float] = []
    while len(found) < _REPEATS and sum(found) < _LONGEST_SECONDS:
        started = perf_counter()
        call()
        found.append(perf_counter() - started)
    return median(found)


def this_machine() -> str:
    """Operating system and processor, such as ``Linux aarch64``."""
    return f"{platform.system()} {platform.machine()}"


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
    largest = float(np.abs(expected).max(initial=0.0))
    for found in (many, np.array(alone)):
        same = is_repeated(found, expected[: len(found)], largest)
        for row in np.flatnonzero(~same):
            return (
                f"probe row {row} is answered {found[row].tolist()!r} by the"
                f" {runtime.kind} runtime, expected {expected[row].tolist()!r} as at"
                f" training{_elsewhere(probe)}"
            )
    return ""


def _elsewhere(probe: Probe) -> str:
    """Which machine the answers come from, where it is of another kind."""
    here = this_machine()
    if probe.machine in ("", here):
        return ""
    return f" on {probe.machine}; this is {here}"
