"""The metrics that a gate may ask for: their tasks, and which direction is better."""

from collections.abc import Collection
from typing import Literal, NamedTuple

Kind = Literal["classification", "regression"]
Measure = Literal[
    "accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1", "precision",
    "recall", "expected_cost", "f1_macro", "f1_weighted", "roc_auc_ovr", "log_loss",
    "r2", "mae", "rmse", "median_ae", "mape", "pinball",
]  # fmt: skip


class Metric(NamedTuple):
    """One metric.

    Parameters
    ----------
    tasks : collection of str
        The tasks that have it.
    lower_is_better : bool
        Whether a version must be below its limit, and not above.
    """

    tasks: Collection[str]
    lower_is_better: bool = False

    @property
    def kinds(self) -> set[str]:
        """What a model with one of its tasks asks for."""
        return {
            "regression" if task == "regression" else "classification"
            for task in self.tasks
        }


_BINARY, _MULTICLASS, _REGRESSION = ("binary",), ("multiclass",), ("regression",)
_CLASSES = _BINARY + _MULTICLASS
METRICS: dict[str, Metric] = {
    "accuracy": Metric(_CLASSES),
    "balanced_accuracy": Metric(_CLASSES),
    "roc_auc": Metric(_BINARY),
    "average_precision": Metric(_BINARY),
    "f1": Metric(_BINARY),
    "precision": Metric(_BINARY),
    "recall": Metric(_BINARY),
    "expected_cost": Metric(_BINARY, lower_is_better=True),
    "f1_macro": Metric(_MULTICLASS),
    "f1_weighted": Metric(_MULTICLASS),
    "roc_auc_ovr": Metric(_MULTICLASS),
    "log_loss": Metric(_MULTICLASS, lower_is_better=True),
    "r2": Metric(_REGRESSION),
    "mae": Metric(_REGRESSION, lower_is_better=True),
    "rmse": Metric(_REGRESSION, lower_is_better=True),
    "median_ae": Metric(_REGRESSION, lower_is_better=True),
    "mape": Metric(_REGRESSION, lower_is_better=True),
    "pinball": Metric(_REGRESSION, lower_is_better=True),
}


def metrics_of(kind: str) -> list[str]:
    """The metrics of a task, or of all tasks of a kind.

    Examples
    --------
    >>> metrics_of("regression")
    ['r2', 'mae', 'rmse', 'median_ae', 'mape', 'pinball']
    """
    return [
        name
        for name, metric in METRICS.items()
        if kind in metric.tasks or kind in metric.kinds
    ]


def lower_is_better(metric: str) -> bool:
    """Whether a lower value of the metric is the better one."""
    return metric in METRICS and METRICS[metric].lower_is_better


def is_better(value: float, other: float, lower: bool) -> bool:
    """Whether a value is strictly better than another; NaN is not.

    Parameters
    ----------
    lower : bool
        Whether the lower one is better.

    Examples
    --------
    >>> is_better(0.9, 0.8, lower=False), is_better(3.0, 2.0, lower=True)
    (True, False)
    """
    return value < other if lower else value > other


_WORDS = {
    "roc_auc": "ROC AUC",
    "roc_auc_ovr": "one-vs-rest ROC AUC",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "median_ae": "median absolute error",
    "mape": "mean absolute percentage error",
    "pinball": "pinball loss",
}


def in_words(metric: str) -> str:
    """A metric as sentences and axes name it.

    Examples
    --------
    >>> in_words("roc_auc"), in_words("balanced_accuracy")
    ('ROC AUC', 'balanced accuracy')
    """
    return _WORDS.get(metric, metric.replace("_", " "))
