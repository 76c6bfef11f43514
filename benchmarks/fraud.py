"""Decisions with costs at 0.5 % positives: what each threshold costs on test rows.

    python -m benchmarks.fraud

The claims are scikit-learn's `make_classification`, and a fifth of them are test rows.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification

from ml_assets.ml.tasks import Binary
from ml_assets.ml.tasks.costs import Costs
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec

ROWS = 100_000
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


def trained(table: pd.DataFrame, estimator: dict[str, Any]) -> Trained:
    """A version whose threshold is tuned."""
    costs = {"false_positive": FALSE_POSITIVE, "false_negative": FALSE_NEGATIVE}
    given: dict[str, Any] = {
        "name": "fraud",
        "source": {"type": "synthetic"},
        "target": "fraud",
        "estimator": estimator,
        "decision": {"threshold": "tuned", "costs": costs},
    }
    return train(table, ModelSpec.model_validate(given))


def main() -> None:
    """Print a Markdown table."""
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
