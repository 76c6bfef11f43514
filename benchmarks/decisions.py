"""Decisions from live data: how often they are wrong, and how soon they are made.

    python -m benchmarks.decisions

Streams without a difference are evaluated after every label; the share that is ever
promoted must not exceed alpha. Then the labels that a real difference needs, and, with
Adult in the directory ML_ASSETS_TEST_DATA, those that HistGradientBoosting needs
against logistic regression. Everything is drawn from one seed.
"""

import argparse
import math
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ml_assets.ml.sequential import Guardrail, Shadow, Split, log_e_above

Flags = NDArray[np.bool_]
Generator = np.random.Generator
NEVER = 10**9
# Labels after which an experiment ends without a decision.
LONGEST = 50_000
# Labels drawn at a time.
CHUNK = 2_500


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print one table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def null_streams(streams: int, generator: Generator) -> None:
    """Ever promoted, rolled back or breached, of streams without a difference."""
    rows = [shadow_null(streams, 1_000, generator), peeking(streams, 1_000, generator)]
    for shares in ((0.5,), (0.01, 0.05, 0.1, 0.25, 0.5)):
        rows.append(split_null(streams, 1_000, shares, generator))
    for tolerance in (1.0, 2.0):
        rows.append(paired_null(streams, 1_000, tolerance, generator))
    rows.append(guardrail_null(streams, 1_000, 0.1, generator))
    header = ("streams without a difference", "evaluations", "alpha", "up", "down")
    table(f"{streams:,} streams, looked at after every label", header, rows)


def shadow_null(streams: int, pairs: int, generator: Generator) -> Sequence[object]:
    """Every label is one on which the models differ: the hardest case."""
    settings = Shadow()
    steps = np.arange(pairs + 1)
    # Log e-values by (wins, losses); a state depends on nothing else.
    lookup = log_e_above(steps[:, None], steps, 0.5, settings.concentration)
    wins = np.cumsum(generator.random((streams, pairs)) < 0.5, axis=1)
    losses = steps[1:] - wins
    return _decided(
        "shadow", pairs, settings.alpha, lookup[wins, losses], lookup[losses, wins]
    )


def peeking(streams: int, pairs: int, generator: Generator) -> Sequence[object]:
    """What McNemar's test at 5 % does to the same streams when it is peeked at."""
    wins = np.cumsum(generator.random((streams, pairs)) < 0.5, axis=1)
    n = np.arange(1, pairs + 1)
    better = -np.log(ndtr((n - 2 * wins) / np.sqrt(n)))
    worse = -np.log(ndtr((2 * wins - n) / np.sqrt(n)))
    return _decided(
        "(McNemar's test, for comparison)", pairs, 0.05, better[:, 20:], worse[:, 20:]
    )


def split_null(
    streams: int, labels: int, shares: Sequence[float], generator: Generator
) -> Sequence[object]:
    """Both arms are right in 85 %; canary steps follow each other."""
    settings = Split(expected=0.85)
    share = np.repeat(shares, labels // len(shares))
    traces = (
        settings.trace(
            generator.random(labels) < share, generator.random(labels) < 0.85, share
        )
        for _ in range(streams)
    )
    highest = np.array([(trace.better.max(), trace.worse.max()) for trace in traces])
    name = f"split, share {', '.join(f'{value:.0%}' for value in shares)}"
    better, worse = highest[:, :1], highest[:, 1:]
    return _decided(name, labels, settings.alpha, better, worse)


def paired_null(
    streams: int, requests: int, tolerance: float, generator: Generator
) -> Sequence[object]:
    """The challenger is bad exactly `tolerance` times as often, half of it at once."""
    rail = Guardrail(name="errors", tolerance=tolerance)
    breaches = 0
    for _ in range(streams):
        draw = generator.random(requests)
        champion = draw < 0.1
        both = draw < 0.05
        # Alone as often as is wanting to `tolerance` times the champion's rate.
        alone = (draw >= 0.1) & (draw < 0.1 + 0.1 * tolerance - 0.05)
        breaches += rail.update_paired(both | alone, champion).breached
    name = f"guardrail in shadow, {tolerance:g} times the champion's rate"
    return name, f"{requests:,}", rail.alpha, f"{breaches / streams:.4f}", ""


def guardrail_null(
    streams: int, requests: int, share: float, generator: Generator
) -> Sequence[object]:
    """Both arms are bad in 5 % of requests."""
    rail = Guardrail(name="errors")
    breaches = sum(
        rail.update_split(
            generator.random(requests) < share, generator.random(requests) < 0.05, share
        ).breached
        for _ in range(streams)
    )
    name = f"guardrail, share {share:.0%}"
    return name, f"{requests:,}", rail.alpha, f"{breaches / streams:.4f}", ""


def _decided(
    name: str,
    evaluations: int,
    alpha: float,
    better: NDArray[np.float64],
    worse: NDArray[np.float64],
) -> Sequence[object]:
    ever = [(path >= -math.log(alpha)).any(axis=1).mean() for path in (better, worse)]
    return name, f"{evaluations:,}", alpha, *(f"{share:.4f}" for share in ever)


def power(streams: int, generator: Generator) -> None:
    """Labels that a real difference needs."""
    shadow = [
        (f"{differ:.0%}", f"{gain:+.3f}", *_quantiles(labels))
        for differ in (0.05, 0.1, 0.2)
        for gain in (0.01, 0.02, 0.04)
        for labels in [[shadow_labels(differ, gain, generator) for _ in range(streams)]]
    ]
    header = ("labels on which the models differ", "gain in accuracy")
    columns = ("10 %", "median", "90 %", f"decided by {LONGEST:,}")
    table(f"Shadow: labels to promotion, {streams} streams", header + columns, shadow)
    split = [
        (f"{share:.0%}", f"{gain:+.3f}", *_quantiles(labels))
        for share in (0.5, 0.1)
        for gain in (0.02, 0.04, 0.08)
        for labels in [[split_labels(share, gain, generator) for _ in range(streams)]]
    ]
    header = ("challenger's share", "gain on an accuracy of 0.85")
    table(f"Split: labels to promotion, {streams} streams", header + columns, split)
    errors = [
        (f"{share:.0%}", f"{rate:.1%}", *_quantiles(requests))
        for share in (0.5, 0.1)
        for rate in (0.02, 0.05, 0.2)
        for requests in [
            [breach_requests(share, rate, generator) for _ in range(streams)]
        ]
    ]
    header = ("challenger's share", "its error rate, champion's 1 %")
    table("Guardrail: challenger's requests to breach", header + columns, errors)


def shadow_labels(differ: float, gain: float, generator: Generator) -> int:
    """Labels until promotion when the challenger gains `gain`."""
    state = Shadow()
    while state.decided is None and state.n < LONGEST:
        draw = generator.random(CHUNK)
        wins = draw < (differ + gain) / 2
        state = state.update(wins, (draw < differ) & ~wins)
    return _promoted(state)


def split_labels(share: float, gain: float, generator: Generator) -> int:
    """Labels of both arms until promotion when the challenger gains `gain`."""
    state = Split(expected=0.85)
    while state.decided is None and state.n < LONGEST:
        arm = generator.random(CHUNK) < share
        right = generator.random(CHUNK) < np.where(arm, 0.85 + gain, 0.85)
        state = state.update(arm, right, share)
    return _promoted(state)


def breach_requests(share: float, rate: float, generator: Generator) -> int:
    """Requests of the challenger until it is found in breach."""
    rail = Guardrail(name="errors")
    while not rail.breached and rail.requests_challenger < LONGEST:
        arm = generator.random(CHUNK) < share
        bad = generator.random(CHUNK) < np.where(arm, rate, 0.01)
        rail = rail.update_split(arm, bad, share)
    return rail.breached_at or NEVER


def _promoted(state: Shadow | Split) -> int:
    return int(state.decided_at or NEVER) if state.decided == "promote" else NEVER


def _quantiles(labels: Sequence[int]) -> tuple[str, ...]:
    found = np.quantile(labels, (0.1, 0.5, 0.9), method="lower")
    decided = np.mean([label < NEVER for label in labels])
    shown = ["-" if value >= NEVER else f"{value:,}" for value in found]
    return (*shown, f"{decided:.0%}")


def census(orders: int, directory: str | None, generator: Generator) -> None:
    """Labels that HistGradientBoosting needs against logistic regression on Adult."""
    if directory is None:
        print("\nAdult is left out: ML_ASSETS_TEST_DATA is not set")
        return
    challenger, champion = census_answers(Path(directory) / "adult-train.csv")
    rows = []
    for name, first, second in (
        ("boosting challenges", challenger, champion),
        ("logistic regression challenges", champion, challenger),
    ):
        states = []
        for _ in range(orders):
            order = generator.permutation(len(first))
            states.append(Shadow().update(first[order], second[order]))
        labels = [state.decided_at or NEVER for state in states]
        verdicts = [state.decided for state in states]
        shares = [
            f"{verdicts.count(side) / orders:.1%}" for side in ("promote", "roll_back")
        ]
        rows.append((name, *_quantiles(labels)[:3], *shares))
    title = (
        f"Adult in shadow, {orders:,} orders of {len(challenger):,} test rows: accuracy"
        f" {challenger.mean():.4f} and {champion.mean():.4f}, the models differ on"
        f" {(challenger != champion).mean():.1%}"
    )
    table(title, ("", "10 %", "median", "90 %", "promoted", "rolled back"), rows)


def census_answers(path: Path) -> tuple[Flags, Flags]:
    """Whether boosting, and logistic regression, is right on each test row."""
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    columns = [f"column_{number}" for number in range(15)]
    frame = pd.read_csv(path, names=columns, skipinitialspace=True)
    y = (frame.pop(columns[-1]) == ">50K").to_numpy()
    texts = make_column_selector(dtype_include=["object", "str"])
    numbers = make_column_selector(dtype_exclude=["object", "str"])
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosting = make_pipeline(
        make_column_transformer((codes, texts), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=0),
    )
    regression = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numbers)
        ),
        LogisticRegression(max_iter=1_000),
    )
    train, test, y_train, y_test = train_test_split(
        frame, y, test_size=0.5, random_state=0
    )
    right = [
        model.fit(train, y_train).predict(test) == y_test
        for model in (boosting, regression)
    ]
    return right[0], right[1]


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--power-streams", type=int, default=300)
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    directory = os.environ.get("ML_ASSETS_TEST_DATA")
    for part in (
        partial(null_streams, options.streams),
        partial(power, options.power_streams),
        partial(census, options.orders, directory),
    ):
        started = time.process_time()
        part(generator)
        print(f"\n({time.process_time() - started:.1f} processor seconds)")


if __name__ == "__main__":
    main()
