"""Training: a feature table and a model's YAML in, a fitted pipeline out."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ml_assets.core import progress
from ml_assets.core.boosters import is_booster_error
from ml_assets.ml.backtest import Figures, backtest, backtest_notes
from ml_assets.ml.boosters import changed_params, searchable
from ml_assets.ml.conformal import with_interval
from ml_assets.ml.engines import Workers, workers
from ml_assets.ml.estimators import EstimatorError, make_estimator, make_value
from ml_assets.ml.features import build_pipeline, encoding_notes
from ml_assets.ml.folds import folds_of, groups_of
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.pipeline_check import check_pipeline
from ml_assets.ml.prepare import input_columns
from ml_assets.ml.row_identity import identity_of
from ml_assets.ml.split import SplitError, check_mask, check_minimum, held_out
from ml_assets.ml.tasks import Outcomes, Task, encode_target
from ml_assets.ml.thresholds import tuned, with_decision
from ml_assets.spec.model import ModelSpec, SearchSpec

SEED = 0


@dataclass(frozen=True)
class Candidate:
    """One setting that a search tried, with its score over the folds."""

    params: dict[str, Any]
    mean: float
    std: float
    rank: int


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline and how it came to be.

    Attributes
    ----------
    pipeline : Pipeline
        Fitted; raw input columns in, answers of the task out.
    inputs : list of str
        The raw columns that it reads.
    x : DataFrame of shape (n_rows, n_inputs)
        All rows, training and test.
    y : ndarray of shape (n_rows,)
        Their target as the task encodes it.
    test : ndarray of bool, shape (n_rows,)
        The rows that were held out.
    task : Task
        What is predicted, with its classes, its threshold or its interval.
    params : dict
        Parameters of the estimator that differ from its defaults, and ``random_state``.
    candidates : list of Candidate
        What a search tried, best first; empty without one.
    seconds : float
        Wall-clock time of fitting, with search and tuning.
    workers : Workers or None
        What fitted the candidates of a search; None without one.
    notes : list of str
        What the encoding bounded, and what folds found, each a sentence.
    folds : dict
        Figures over rolling origins: see `~ml_assets.ml.backtest.backtest`.
    """

    pipeline: Pipeline
    inputs: list[str]
    x: pd.DataFrame
    y: Outcomes
    test: NDArray[np.bool_]
    task: Task
    params: dict[str, Any]
    candidates: list[Candidate]
    seconds: float
    workers: Workers | None
    notes: list[str] = field(default_factory=list)
    folds: Figures = field(default_factory=dict)

    @property
    def x_test(self) -> pd.DataFrame:
        """The held-out rows."""
        return self.x[self.test]

    @property
    def y_test(self) -> Outcomes:
        """Their target."""
        return self.y[self.test]


def train(
    table: pd.DataFrame,
    spec: ModelSpec,
    test: NDArray[np.bool_] | None = None,
    pinned: Task | None = None,
) -> Trained:
    """Fit the pipeline of `spec` on the training rows of `table`.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        A feature table as `~ml_assets.ml.prepare.prepare` makes it.
    spec : ModelSpec
        Its features, estimator, search, split, decision and resources are used.
    test : ndarray of bool, shape (n_rows,), optional
        The rows to hold out; by default those of ``spec.split``.
    pinned : Task, optional
        That of the model's first training; ``spec.positive`` and ``spec.classes`` have
        the last word.

    Raises
    ------
    EstimatorError
        If the estimator or one of its parameters is not usable, or what would be fitted
        could not be served; raised before anything is fitted on all rows.
    FeatureError
        If the rows do not have the column of ``decision.amount``.
    SplitError
        If the rows cannot be divided.
    EngineError
        If the engine of the search cannot be used.

    Examples
    --------
    >>> from ml_assets.spec.model import ModelSpec, SourceSpec
    >>> spec = ModelSpec(name="m", source=SourceSpec(type="synthetic"), target="late")
    >>> table = pd.DataFrame({"days": range(100), "late": [0, 1] * 50})
    >>> trained = train(table, spec)
    >>> trained.inputs, int(trained.test.sum())
    (['days'], 20)
    """
    y, task = encode_target(
        table[spec.target], spec.positive, pinned, spec.task, spec.classes
    )
    beside = spec.split.beside_inputs
    inputs = input_columns(table, spec.features, spec.target, beside)
    x = table[inputs]
    if test is None:
        others = {*spec.features.drop, *spec.features.derive}
        identity = identity_of(table, spec.target, others, spec.split)
        test = held_out(table, y, spec.split, identity, task.labels)
        check_minimum(test, y, spec.split.minimum, task.labels)
    check_mask(test, y, task.labels)
    task = with_decision(task, spec.decision)
    # An amount that the rows lack is found out before hours of fitting.
    task.with_rows(table[~test])
    estimator = make_estimator(spec.estimator, spec.task)
    pipeline = build_pipeline(x[~test], spec.features, estimator, task.name, y[~test])
    space = _space(pipeline, spec.search)
    rows, target = plain_texts(x[~test]), y[~test]
    with threadpool_limits(spec.resources.threads):
        check_pipeline(pipeline, rows, target, space, task)
        started = time.perf_counter()
        pipeline, candidates, used = _fit(
            pipeline, rows, target, table[~test], spec, space, task
        )
        given = pipeline, table[~test], rows, target
        task, tuning = tuned(task, *given, spec.decision, spec.split)
        task, widths = with_interval(task, *given, spec.interval, spec.split)
        seconds = time.perf_counter() - started
        past = backtest(pipeline, x, y, table, test, spec.split, task)
    notes = [*encoding_notes(x[~test], pipeline), *tuning, *widths]
    return Trained(
        pipeline=pipeline,
        inputs=inputs,
        x=x,
        y=y,
        test=test,
        task=task,
        params=changed_params(pipeline.named_steps["estimator"]),
        candidates=candidates,
        seconds=seconds,
        workers=used,
        notes=[*notes, *backtest_notes(past, spec.gate.demands)],
        folds=past,
    )


def _fit(
    pipeline: Pipeline,
    x: pd.DataFrame,
    y: Outcomes,
    table: pd.DataFrame,
    spec: ModelSpec,
    space: dict[str, list[Any]],
    task: Task,
) -> tuple[Pipeline, list[Candidate], Workers | None]:
    try:
        if spec.search is None:
            return pipeline.fit(x, y), [], None
        groups = groups_of(table, spec.split, list(x.columns))
        is_grouped = groups is not None
        folds = folds_of(table, spec.split, spec.search.folds, is_grouped, task.labels)
        metric = spec.search.metric or task.scorer
        search = _search(pipeline, spec.search, space, folds, metric)
        # Other processes fit them, which say nothing until all are done.
        count = _candidate_count(spec.search, space)
        progress.report(f"{count} candidates of a search, {spec.search.folds} folds")
        with workers(spec.search.engine) as used:
            search.fit(x, y, groups=groups)
    except SplitError:
        raise
    except Exception as error:
        if not (isinstance(error, TypeError | ValueError) or is_booster_error(error)):
            raise
        # scikit-learn names the parameter and what it may be, but not the model.
        raise EstimatorError(
            f"{spec.estimator.type} cannot be fitted: {error}"
        ) from error
    if np.isnan(search.cv_results_["mean_test_score"]).all():
        raise EstimatorError(
            f"search found no candidate with a {metric}: a fold lacks a class, the"
            f" scorer is not one of a {task.name} target, or an answer is no number;"
            " give it more rows or fewer folds, or another metric"
        )
    return search.best_estimator_, _candidates(search.cv_results_), used


def _space(pipeline: Pipeline, spec: SearchSpec | None) -> dict[str, list[Any]]:
    """What a search varies, by the pipeline's names; nothing where there is none."""
    if spec is None:
        return {}
    own = searchable(pipeline.named_steps["estimator"])
    known = {*pipeline.get_params(), *(f"estimator__{name}" for name in own)}
    space = {}
    for name, values in spec.params.items():
        # A name that is none of the pipeline's is the estimator's.
        full = name if "__" in name and name in known else f"estimator__{name}"
        if full not in known:
            raise EstimatorError(
                f"search has no parameter '{name}' to vary; it has"
                f" {', '.join(sorted(own))}"
            )
        space[full] = make_value(values, f"search.params.{name}")
    return space


def _candidate_count(spec: SearchSpec, space: dict[str, list[Any]]) -> int:
    return min(spec.iterations, int(np.prod([len(item) for item in space.values()])))


def _search(
    pipeline: Pipeline,
    spec: SearchSpec,
    space: dict[str, list[Any]],
    folds: Any,
    metric: str,
) -> Any:
    count = _candidate_count(spec, space)
    common = {
        "cv": folds,
        "scoring": metric,
        "random_state": SEED,
        "error_score": "raise",
    }
    if spec.type == "randomized":
        return RandomizedSearchCV(pipeline, space, n_iter=count, **common)
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    # The last round has as many rows as there are; else the first begins with twenty.
    return HalvingRandomSearchCV(
        pipeline, space, n_candidates=count, min_resources="exhaust", **common
    )


def _candidates(results: dict[str, Any]) -> list[Candidate]:
    """The tried settings, best first; halving repeats those that it kept."""
    rows = [
        Candidate(
            {name.removeprefix("estimator__"): value for name, value in params.items()},
            float(mean),
            float(std),
            int(rank),
        )
        for params, mean, std, rank in zip(
            results["params"],
            results["mean_test_score"],
            results["std_test_score"],
            results["rank_test_score"],
        )
    ]
    return sorted(rows, key=lambda row: row.rank)
