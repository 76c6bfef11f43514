"""Decisions with costs at 0.5 % positives: what thresholds cost, and what wins live.

    python -m benchmarks.fraud

The claims are scikit-learn's `make_classification`, and a fifth of those trained on are
test rows. Then two versions that are right equally often answer claims that neither has
seen, in shadow, and the test of experiments decides by accuracy and by cost.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification

from benchmarks.decisions import table as markdown_table
from ml_assets.ml.sequential import ERROR, Betting, Scale, compare_paired
from ml_assets.ml.sequential.differences import paired
from ml_assets.ml.tasks import Binary
from ml_assets.ml.tasks.costs import Costs
from ml_assets.ml.tasks.task import Floats
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec

ROWS, LIVE_ROWS = 100_000, 300_000
STREAMS, LABELS, ALPHA = 300, 30_000, 0.05
FALSE_POSITIVE, FALSE_NEGATIVE = 5.0, 400.0
LOGISTIC = "sklearn.linear_model.LogisticRegression"
ESTIMATORS: dict[str, dict[str, Any]] = {
    "logistic regression": {"type": LOGISTIC},
    "the same, `class_weight: balanced`": {
        "type": LOGISTIC,
        "params": {"class_weight": "balanced"},
    },
    "histogram boosting": {"type": "sklearn.ensemble.HistGradientBoostingClassifier"},
}


def claims(rows: int = ROWS) -> pd.DataFrame:
    """Claims of which one in two hundred is a fraud."""
    x, y = make_classification(
        rows,
        12,
        n_informative=6,
        weights=[0.995],
        flip_y=0.001,
        class_sep=1.5,
        random_state=0,
    )
    table = pd.DataFrame(x, columns=[f"v{number}" for number in range(x.shape[1])])
    return table.assign(fraud=np.where(y == 1, "yes", "no"))


def trained(
    table: pd.DataFrame, estimator: dict[str, Any], threshold: str | float = "tuned"
) -> Trained:
    """A version that decides at a threshold, or at one that is tuned."""
    costs = {"false_positive": FALSE_POSITIVE, "false_negative": FALSE_NEGATIVE}
    given: dict[str, Any] = {
        "name": "fraud",
        "source": {"type": "synthetic"},
        "target": "fraud",
        "estimator": estimator,
        "decision": {"threshold": threshold, "costs": costs},
    }
    return train(table, ModelSpec.model_validate(given))


class Live(NamedTuple):
    """A version's live claims: whether each is decided wrongly, and its scaled cost."""

    errors: Floats
    costs: Floats
    scale: Scale


def answered(version: Trained, rows: pd.DataFrame) -> Live:
    """The live claims as a version decides them."""
    task = version.task
    y, p = task.encode(rows["fraud"]), task.answers(version.pipeline, rows)
    errors = (task.decide(p) != y).astype(float)
    return Live(errors, task.losses(y, p), task.scale)


def verdicts(challenger: Live, champion: Live) -> dict[str, Counter[str | None]]:
    """How often each comparison promotes and rolls back, over orders of the claims."""
    generator = np.random.default_rng(0)
    found: dict[str, Counter[str | None]] = {"accuracy": Counter(), "cost": Counter()}
    for _ in range(STREAMS):
        rows = generator.choice(len(champion.errors), LABELS, replace=False)
        errors = challenger.errors[rows], champion.errors[rows]
        costs = paired(challenger.costs[rows], champion.costs[rows])
        by_accuracy, _ = compare_paired(ERROR, *errors, alpha=ALPHA)
        by_cost = Betting(alpha=ALPHA, scale=champion.scale).update(costs)
        found["accuracy"][by_accuracy.decided] += 1
        found["cost"][by_cost.decided] += 1
    return found


def experiment() -> None:
    """Print what live claims decide between a champion and its challenger."""
    table = claims(ROWS + LIVE_ROWS)
    seen, live = table[:ROWS], table[ROWS:]
    boosting = ESTIMATORS["histogram boosting"]
    versions = {
        "logistic regression at 0.055": trained(seen, {"type": LOGISTIC}, 0.055),
        "histogram boosting, tuned": trained(seen, boosting),
    }
    arms = {name: answered(version, live) for name, version in versions.items()}
    rows = []
    for challenger, champion in (reversed([*arms]), [*arms]):
        one, other = arms[challenger], arms[champion]
        for by, counts in verdicts(one, other).items():
            gain = one.costs.mean() - other.costs.mean()
            rows.append(
                (
                    challenger,
                    f"{1 - one.errors.mean():.2%}, {1 - other.errors.mean():.2%}",
                    f"{gain * FALSE_NEGATIVE:+.2f}",
                    by,
                    *(f"{counts[s] / STREAMS:.0%}" for s in ("promote", "roll_back")),
                )
            )
    header = ("challenger", "accuracy, champion's", "cost", "compared by")
    title = f"{STREAMS} streams of {LABELS:,} labels in shadow"
    markdown_table(title, (*header, "promoted", "rolled back"), rows)


def main() -> None:
    """Print Markdown tables."""
    thresholds_of_each()
    experiment()


def thresholds_of_each() -> None:
    """Print what each threshold costs on test rows."""
    table = claims()
    costs = Costs(FALSE_POSITIVE, FALSE_NEGATIVE)
    theory = FALSE_POSITIVE / (FALSE_POSITIVE + FALSE_NEGATIVE)
    print("| model | threshold | accuracy | precision | recall | expected cost |")
    print("|---|---|---|---|---|---|")
    for name, estimator in ESTIMATORS.items():
        found = trained(table, estimator)
        assert isinstance(found.task, Binary)  # nosec B101 # two classes
        y, p = found.y_test, found.task.answers(found.pipeline, found.x_test)
        thresholds = {"tuned": found.task.threshold, "one half": 0.5, "theory": theory}
        for which, threshold in thresholds.items():
            decided = p > threshold
            right = decided & (y == 1)
            figures = (
                f"{(decided == y).mean():.1%}",
                f"{right.sum() / decided.sum():.0%}",
                f"{right.sum() / y.sum():.0%}",
                f"{costs.of(y, decided).mean():.2f}",
            )
            print(f"| {name} | {which}, {threshold:.3f} | {' | '.join(figures)} |")
    constant = costs.best_constant(y)
    accuracy = f"{1 - y.mean():.1%}"
    print(f"| flags no row | | {accuracy} | | 0% | {constant.mean():.2f} |")


if __name__ == "__main__":
    main()
