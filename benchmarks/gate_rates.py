"""The gate: how often it passes what knows nothing, and refuses what is good enough.

    python -m benchmarks.gate_rates

A version is drawn as scores of test rows whose two classes lie `signal` standard
deviations apart; its threshold is that of the best accuracy. The gate's threshold is 0,
so that what is counted is its other clauses.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from ml_assets.ml.gate import Gate
from ml_assets.ml.gate_figures import GateFigures, Group
from ml_assets.ml.tasks.significance import p_values
from ml_assets.spec.gate import GateSpec

ROWS = (100, 500, 2_000)
SHARES = (0.1, 0.4)
METRICS = ("accuracy", "balanced_accuracy", "f1", "roc_auc")
# Nothing at all; an AUC of about .64, .76 and .92.
SIGNALS = (0.0, 0.5, 1.0, 2.0)
GROUPS = 20


def drawn(
    n: int, share: float, signal: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """Outcomes, scores and a threshold that leaves about as many positives as are."""
    y = np.zeros(n, dtype=np.int64)
    y[: round(n * share)] = 1
    scores = generator.normal(size=n) + signal * y
    return y, scores, float(np.quantile(scores, 1 - share))


def above_chance(times: int, generator: np.random.Generator) -> list[str]:
    """How often the clause on the best constant answer is passed."""
    lines = [
        "**Share of versions that pass `beat_majority`**",
        "",
        f"| test rows | positive | separation | {' | '.join(METRICS)} |",
        f"|---|---|---{'|---' * len(METRICS)}|",
    ]
    for n in ROWS:
        for share in SHARES:
            for signal in SIGNALS:
                passed = dict.fromkeys(METRICS, 0)
                for _ in range(times):
                    figures = measured(*drawn(n, share, signal, generator))
                    for metric in METRICS:
                        gate = Gate(GateSpec(metric=metric, threshold=0))
                        passed[metric] += gate.decide(figures).passed
                rates = " | ".join(f"{passed[m] / times:.3f}" for m in METRICS)
                lines.append(f"| {n:,} | {share:.0%} | {signal:g} sd | {rates} |")
    return lines


def measured(
    y: NDArray[np.int64], scores: NDArray[np.float64], threshold: float
) -> GateFigures:
    """The figures of one version, by closed forms where scikit-learn would be slow."""
    predicted = scores > threshold
    hits, n, positives = int((predicted & (y == 1)).sum()), len(y), int(y.sum())
    flagged = int(predicted.sum())
    recall = hits / positives
    specificity = 1 - (flagged - hits) / (n - positives)
    ranks = np.argsort(np.argsort(scores)) + 1
    below = ranks[y == 1].sum() - positives * (positives + 1) / 2
    share = positives / n
    return GateFigures(
        n,
        {
            "accuracy": (hits + (n - positives) * specificity) / n,
            "balanced_accuracy": (recall + specificity) / 2,
            "f1": 2 * hits / (positives + flagged),
            "roc_auc": below / (positives * (n - positives)),
        },
        {
            "accuracy": max(share, 1 - share),
            "balanced_accuracy": 0.5,
            "f1": 2 * share / (1 + share),
            "roc_auc": 0.5,
        },
        p_values(y, scores, threshold),
    )


def slices(times: int, generator: np.random.Generator) -> list[str]:
    """How often one of many groups blocks a version."""
    lines = [
        f"**Share of versions that a slice of {GROUPS} groups with 0.70 each blocks**",
        "",
        "| rows of a group | all at 0.70 | all at 0.75 | one at 0.50 |",
        "|---|---|---|---|",
    ]
    gate = Gate(GateSpec(threshold=0, beat_majority=False, slices={"town": 0.7}))
    for n in (1, 20, 50, 500):
        rates = []
        for accuracy in ([0.7] * GROUPS, [0.75] * GROUPS, [0.5, *[0.8] * (GROUPS - 1)]):
            right = generator.binomial(n, accuracy, (times, GROUPS)) / n
            rates.append(np.mean([not passes(gate, n, found) for found in right]))
        lines.append(f"| {n:,} | {' | '.join(f'{rate:.3f}' for rate in rates)} |")
    return lines


def passes(gate: Gate, n: int, accuracies: NDArray[np.float64]) -> bool:
    """Whether groups of `n` rows with those accuracies pass."""
    groups = {str(at): Group(n, float(value)) for at, value in enumerate(accuracies)}
    figures = GateFigures(1, {"accuracy": 1.0}, {}, slices={"town": groups})
    return gate.decide(figures).passed


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=400, help="draws of each row")
    times = parser.parse_args().times
    generator = np.random.default_rng(0)
    for table in (above_chance(times, generator), slices(times, generator)):
        print("\n".join(table), end="\n\n")


if __name__ == "__main__":
    main()
