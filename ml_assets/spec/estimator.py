"""The estimator of a model and the search for its parameters, as its YAML has them."""

from collections.abc import Iterator
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from ml_assets.spec import validators
from ml_assets.spec.base import BaseSpec, Fault, raise_faults
from ml_assets.spec.metrics import Kind

Engine = Literal["local", "ray"]
DEFAULT_TYPES: dict[Kind, str] = {
    "classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}
# Scikit-learn's scorers for a class and its probability, and for a number.
ClassScorer = Literal[
    "accuracy", "average_precision", "balanced_accuracy", "d2_brier_score",
    "d2_log_loss_score", "f1", "f1_macro", "f1_micro", "f1_weighted", "jaccard",
    "jaccard_macro", "jaccard_micro", "jaccard_weighted", "matthews_corrcoef",
    "neg_brier_score", "neg_log_loss", "neg_negative_likelihood_ratio",
    "positive_likelihood_ratio", "precision", "precision_macro", "precision_micro",
    "precision_weighted", "recall", "recall_macro", "recall_micro", "recall_weighted",
    "roc_auc", "roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr",
    "roc_auc_ovr_weighted",
]  # fmt: skip
NumberScorer = Literal[
    "d2_absolute_error_score", "explained_variance", "neg_max_error",
    "neg_mean_absolute_error", "neg_mean_absolute_percentage_error",
    "neg_mean_gamma_deviance", "neg_mean_poisson_deviance", "neg_mean_squared_error",
    "neg_mean_squared_log_error", "neg_median_absolute_error",
    "neg_root_mean_squared_error", "neg_root_mean_squared_log_error", "r2",
]  # fmt: skip
Scorer = Literal[ClassScorer, NumberScorer]


class EstimatorSpec(BaseSpec):
    """An estimator by import path, with its parameters.

    It is one of scikit-learn, or a class of a package that the project trusts.
    """

    type: str = DEFAULT_TYPES["classification"]
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exists(self) -> "EstimatorSpec":
        raise_faults(validators.estimator_faults(self.type, self.params))
        return self


class SearchSpec(BaseSpec):
    """Hyper-parameter search by scikit-learn."""

    type: Literal["randomized", "halving"] = "randomized"
    params: dict[str, list[Any]] = Field(description="parameter: values to try")
    iterations: int = Field(10, ge=1, description="candidates of a randomized search")
    folds: int = Field(3, ge=2)
    metric: Scorer | None = Field(
        None,
        description="a scikit-learn scorer; by default roc_auc, of more than two"
        " classes roc_auc_ovr, and of numbers neg_mean_absolute_error",
    )
    engine: Engine = Field(
        "local", description="ray: candidates are fitted on the cluster of RAY_ADDRESS"
    )

    def misfits(self, kind: Kind) -> Iterator[Fault]:
        """What does not fit a model of that kind."""
        of_numbers = self.metric in get_args(NumberScorer)
        if self.metric is not None and of_numbers != (kind == "regression"):
            known = NumberScorer if kind == "regression" else ClassScorer
            yield (
                ("metric",),
                f"{self.metric} is no scorer of {kind}, which has"
                f" {', '.join(get_args(known))}",
            )
