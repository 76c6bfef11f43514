"""Experiments on bounded losses: how often they are wrong, and how soon they decide.

    python -m benchmarks.bounded_losses

Four losses, in shadow and in a split, decided at any time (looked at after every label)
and by a planned number of labels. Streams without a difference: the share that is ever
promoted, or rolled back, must not exceed alpha. Then the labels that a real difference
needs, and fraud at 0.5 % positives. Everything is drawn from one seed.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.decisions import table
from ml_assets.ml.sequential import (
    ERROR,
    Betting,
    Planned,
    Scale,
    Shadow,
    Split,
    Trace,
    compare_paired,
)
from ml_assets.ml.sequential.boundaries import boundaries
from ml_assets.ml.sequential.differences import Differences, paired, split
from ml_assets.ml.sequential.planned import statistics

Floats = NDArray[np.float64]
Generator = np.random.Generator
# Losses of the challenger and of the champion on the same n rows, scaled to 0 to 1.
Draw = Callable[[int, Generator], tuple[Floats, Floats]]
ALPHA = 0.05
NULL_LABELS = 2_000
POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 0.005, 5.0, 400.0
# Of the mean loss in a split, before the first label.
GUESS = 0.1
NEVER = 10**9


def error(n: int, generator: Generator, gain: float = 0.0) -> tuple[Floats, Floats]:
    """Models that differ on a tenth of the rows; the champion errs on 15 %."""
    draw = generator.random(n)
    both = draw < 0.1
    challenger = both | ((draw >= 0.1) & (draw < 0.15 - gain / 2))
    champion = both | ((draw >= 0.2) & (draw < 0.25 + gain / 2))
    return challenger.astype(float), champion.astype(float)


def cost(
    n: int, generator: Generator, caught: float = 0.2, alarms: float | None = None
) -> tuple[Floats, Floats]:
    """Fraud: the challenger catches more of it, and alarms more often for nothing.

    `alarms` is the further share of rows; by default as many as cost what it catches.
    """
    if alarms is None:
        alarms = POSITIVE * caught * FALSE_NEGATIVE / FALSE_POSITIVE
    is_fraud = generator.random(n) < POSITIVE
    draw = generator.random(n)
    false_alarm = FALSE_POSITIVE / FALSE_NEGATIVE
    champion = np.where(is_fraud, draw < 0.4, 0.0)
    likely = alarms / (1 - POSITIVE)
    challenger = np.where(
        is_fraud, draw < 0.4 - caught, np.where(draw < likely, false_alarm, 0.0)
    )
    return challenger, champion


def log_loss(n: int, generator: Generator, noise: float = 0.8) -> tuple[Floats, Floats]:
    """Log loss of two noisy probabilities, clipped at 5 nats."""
    log_odds = 2 * generator.standard_normal(n)
    truth = generator.random(n) < expit(log_odds)
    losses = []
    for level in (noise, 0.8):
        p = expit(log_odds + level * generator.standard_normal(n))
        losses.append(np.minimum(-np.log(np.where(truth, p, 1 - p)) / 5, 1.0))
    return losses[0], losses[1]


def absolute_error(
    n: int, generator: Generator, noise: float = 0.8
) -> tuple[Floats, Floats]:
    """Absolute error of predictions of a heavy-tailed number, clipped at 10."""
    surprise = generator.standard_t(3, n)
    losses = [
        np.minimum(np.abs(surprise + level * generator.standard_normal(n)) / 10, 1.0)
        for level in (noise, 0.8)
    ]
    return losses[0], losses[1]


class Stream(NamedTuple):
    """Losses of both arms on each row, and in a split whose was counted."""

    challenger: Floats
    champion: Floats
    arm: NDArray[np.bool_] | None

    def differences(self) -> Differences:
        """As the tests of bounded losses know it."""
        if self.arm is None:
            return paired(self.challenger, self.champion)
        return split(self.arm, self.counted(), 0.5, expected=GUESS)

    def counted(self) -> Floats:
        """Loss of the arm that answered."""
        return np.where(self.arm, self.challenger, self.champion)


def stream(draw: Draw, mode: str, n: int, generator: Generator) -> Stream:
    """One stream, in shadow or in a split of halves."""
    losses = draw(n, generator)
    arm = generator.random(n) < 0.5 if mode == "split" else None
    return Stream(*losses, arm)


def by_counts(given: Stream) -> tuple[int, int]:
    """Labels until "better" and until "worse" by the tests of right and wrong."""
    if given.arm is None:
        return _ends(
            Shadow(alpha=ALPHA).trace(given.challenger == 0, given.champion == 0)
        )
    state = Split(alpha=ALPHA, expected=1 - GUESS)
    return _ends(state.trace(given.arm, given.counted() == 0, 0.5))


def by_bets(given: Stream) -> tuple[int, int]:
    """The same by betting on bounded losses."""
    state = Betting(alpha=ALPHA, scale=Scale("loss"))
    return _ends(state.trace(given.differences()))


def _ends(trace: Trace) -> tuple[int, int]:
    ends = []
    for path in trace:
        reached = np.flatnonzero(path >= -math.log(ALPHA))
        ends.append(int(reached[0]) + 1 if len(reached) else NEVER)
    return ends[0], ends[1]


def by_plan(given: Stream) -> tuple[int, int]:
    """The same of a group-sequential test of the whole stream."""
    values, low, high = given.differences()
    at_labels = np.array(Planned(labels=len(values), scale=Scale("loss")).planned)
    limits = np.array(boundaries(ALPHA, tuple(at_labels / len(values))))
    total, squares, cubes = (
        np.cumsum(values**power)[at_labels - 1] for power in (1, 2, 3)
    )
    found = (
        statistics(at_labels, total, squares, cubes, low.min()) >= limits,
        statistics(at_labels, -total, squares, -cubes, -high.max()) >= limits,
    )
    ends = [int(at_labels[np.argmax(at)]) if at.any() else NEVER for at in found]
    return ends[0], ends[1]


class Case(NamedTuple):
    """A loss, its streams without a difference, and those with one."""

    name: str
    null: Draw
    effect: str
    better: Draw
    at_any_time: Callable[[Stream], tuple[int, int]]
    # Where what matters is rare, streams are longer by this factor.
    times: int = 1


CASES = (
    Case("error", error, "0.15 to 0.135", partial(error, gain=0.015), by_counts),
    Case("error, by bets", error, "0.15 to 0.135", partial(error, gain=0.015), by_bets),
    Case(
        "cost, 0.5 % positives",
        cost,
        "40 % to 20 % of fraud missed, as many errors",
        partial(cost, alarms=POSITIVE * 0.2),
        by_bets,
        times=4,
    ),
    Case(
        "log loss",
        log_loss,
        "noise 0.8 to 0.65",
        partial(log_loss, noise=0.65),
        by_bets,
    ),
    Case(
        "absolute error",
        absolute_error,
        "noise 0.8 to 0.65",
        partial(absolute_error, noise=0.65),
        by_bets,
    ),
)


def null_streams(streams: int, generator: Generator) -> None:
    """Ever promoted, or rolled back, of streams without a difference."""
    rows = []
    for case in CASES:
        for mode in ("shadow", "split"):
            ever = np.zeros((2, 2))
            labels = NULL_LABELS * case.times
            for _ in range(streams):
                given = stream(case.null, mode, labels, generator)
                ends = np.array([case.at_any_time(given), by_plan(given)])
                ever += ends < NEVER
            shares = [f"{share:.4f}" for share in (ever / streams).ravel()]
            rows.append((case.name, mode, f"{labels:,}", *shares))
    header = ("loss", "mode", "labels", "any time: up", "down", "planned: up", "down")
    title = f"{streams:,} streams without a difference"
    table(f"{title}, alpha {ALPHA}", header, rows)


def power(streams: int, labels: int, generator: Generator) -> None:
    """Promotions within `labels`, and when, at any time and by plan."""
    rows = []
    for case in CASES:
        for mode in ("shadow", "split"):
            size = labels * case.times
            drawn = [stream(case.better, mode, size, generator) for _ in range(streams)]
            cells = []
            for test in (case.at_any_time, by_plan):
                ends = [test(given)[0] for given in drawn]
                promoted = np.mean([end < NEVER for end in ends])
                middle = np.quantile(ends, 0.5, method="lower")
                shown = "-" if middle >= NEVER else f"{middle:,}"
                cells += [f"{promoted:.0%}", shown]
            rows.append((case.name, case.effect, mode, f"{size:,}", *cells))
    header = ("loss", "effect", "mode", "labels", "any time", "median")
    title = f"Promoted within so many labels, and median label, {streams} streams"
    table(title, (*header, "planned", "median"), rows)


def fraud(streams: int, labels: int, generator: Generator) -> None:
    """Decisions by accuracy and by cost where both models err equally often."""
    rows = []
    draw = partial(cost, alarms=POSITIVE * 0.2)
    for name, is_dearer in (("cheaper", False), ("dearer", True)):
        verdicts: dict[str, list[str | None]] = {"accuracy": [], "cost": []}
        for _ in range(streams):
            losses = draw(labels, generator)
            if is_dearer:
                losses = losses[::-1]
            wrong = [(loss > 0).astype(float) for loss in losses]
            state, _ = compare_paired(ERROR, *wrong, alpha=ALPHA)
            verdicts["accuracy"].append(state.decided)
            betting = Betting(alpha=ALPHA, scale=Scale("cost", FALSE_NEGATIVE))
            verdicts["cost"].append(betting.update(paired(*losses)).decided)
        for loss, found in verdicts.items():
            shares = [
                f"{found.count(side) / streams:.0%}"
                for side in ("promote", "roll_back")
            ]
            rows.append((name, loss, *shares))
    header = ("challenger", "compared by", "promoted", "rolled back")
    title = f"Fraud at {POSITIVE:.1%}, {streams} streams of {labels:,} labels in shadow"
    table(title, header, rows)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--power-streams", type=int, default=300)
    parser.add_argument("--labels", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parts: dict[str, Callable[[argparse.Namespace, Generator], None]] = {
        "null": lambda given, rng: null_streams(given.streams, rng),
        "power": lambda given, rng: power(given.power_streams, given.labels, rng),
        "fraud": lambda given, rng: fraud(given.power_streams, 30_000, rng),
    }
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    for part in options.parts:
        started = time.process_time()
        parts[part](options, np.random.default_rng(options.seed))
        print(f"\n({time.process_time() - started:.1f} processor seconds)")


if __name__ == "__main__":
    main()
