"""Servers that take turns under one load, so that what else runs is shared by all."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import Figures, ask

PATH = "/models/adult/predict"
CONNECTIONS = 16


class Turn(NamedTuple):
    """A server that runs: its process, its port, and the headers that it is sent."""

    pid: int
    port: int
    headers: tuple[str, ...] = ()


def rounds(
    turns: Sequence[Turn], bodies: Path, count: int, seconds: int
) -> list[list[Figures]]:
    """The figures of each server, of so many loads of one row.

    Every other round goes backwards, so that none is always the one after another.
    """
    found: list[list[Figures]] = [[] for _ in turns]
    for turn in turns:
        ask(turn.pid, turn.port, PATH, bodies, CONNECTIONS, 1, turn.headers)
    for number in range(count):
        order = [*enumerate(turns)]
        for at, (pid, port, headers) in order[:: -1 if number % 2 else 1]:
            found[at].append(
                ask(pid, port, PATH, bodies, CONNECTIONS, seconds, headers)
            )
    return found


class Spread(NamedTuple):
    """The median of some numbers, and the quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least two numbers.

    Examples
    --------
    >>> str(spread([1.0, 2.0, 3.0]))
    '2 (1.5 to 2.5)'
    """
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))
