"""Whether a pipeline could be served, from a fit on a few rows before the real one."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ml_assets.core.boosters import is_booster_error
from ml_assets.core.model_files import dump_model, load_model
from ml_assets.core.tolerance import is_close, scale_of
from ml_assets.core.trusted import UntrustedError
from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.tasks.task import Outcomes, Task

# Enough for folds inside folds; few enough for the fit to take a moment.
ROWS_OF_A_CLASS = 100
ALONE = 8


def check_pipeline(
    pipeline: Pipeline,
    x: pd.DataFrame,
    y: Outcomes,
    space: Mapping[str, list[Any]],
    task: Task,
) -> None:
    """Fit, package and load an unfitted `pipeline` on a few of the training rows.

    Parameters
    ----------
    pipeline : Pipeline
        Is left unfitted.
    x, y : DataFrame and ndarray of shape (n_rows,)
        The training rows.
    space : mapping of str to list
        What a search will vary, with the pipeline's names of parameters. Values that
        are texts or estimators decide what the fitted model is made of: each is tried.

    Raises
    ------
    EstimatorError
        If it would give no probabilities, hold a type that no server loads, or answer
        each row alone otherwise than in a batch.
    """
    few = _few(y, task)
    for setting in _settings(space):
        trial = clone(pipeline).set_params(**setting)
        with warnings.catch_warnings():
            # On the whole data they may not come, or come once more.
            warnings.simplefilter("ignore")
            _check(trial, x.iloc[few], y[few], setting, task)


def _few(y: Outcomes, task: Task) -> NDArray[np.int64]:
    """Positions of some rows, of each class some."""
    if not task.labels:
        return np.arange(min(len(y), 2 * ROWS_OF_A_CLASS))
    parts = [np.flatnonzero(y == k)[:ROWS_OF_A_CLASS] for k in np.unique(y)]
    return np.sort(np.concatenate(parts))


def _settings(space: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    yield {}
    for name, values in space.items():
        for value in values:
            if isinstance(value, str) or hasattr(value, "fit"):
                yield {name: value}


def _check(
    trial: Pipeline,
    x: pd.DataFrame,
    y: Outcomes,
    setting: dict[str, Any],
    task: Task,
) -> None:
    name = f"{type(trial[-1]).__name__}{f' with {setting}' if setting else ''}"
    try:
        trial.fit(x, y)
        answers = task.answers(trial, x)
        alone = np.array(
            [task.answers(trial, x.iloc[[row]])[0] for row in range(min(ALONE, len(x)))]
        )
    except AttributeError as error:
        what = "probabilities" if task.labels else "values"
        raise EstimatorError(f"{name} gives no {what}: {error}") from error
    except Exception as error:
        # Neighbours or folds may need more rows than these: the real fit decides.
        if isinstance(error, TypeError | ValueError) or is_booster_error(error):
            return
        raise
    try:
        loaded = load_model(dump_model(trial).__getitem__)
    except UntrustedError as error:
        raise EstimatorError(
            f"{name} would be fitted in vain, no server would load it: {error}"
        ) from error
    scale = scale_of(answers)
    if not is_close(task.answers(loaded, x), answers, scale).all():
        raise EstimatorError(f"{name} answers otherwise once it is packaged and loaded")
    if not is_close(alone, answers[: len(alone)], scale).any():
        worst = float(np.abs(alone - answers[: len(alone)]).max())
        raise EstimatorError(
            f"{name} answers a row alone otherwise than in a batch, by up to"
            f" {worst:.1g}, so that no answer could be verified: choose others"
        )
