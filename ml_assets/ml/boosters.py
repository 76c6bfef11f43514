"""Estimators of LightGBM, XGBoost and CatBoost with the defaults of this platform."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn.utils import get_tags

from ml_assets.core.boosters import BoosterError, booster_of, load_booster

# One thread, as many models share a machine, and training twice gives the same model.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "lightgbm": {
        "random_state": 0,
        "n_jobs": 1,
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
    },
    "xgboost": {"random_state": 0, "n_jobs": 1},
    "catboost": {
        "random_state": 0,
        "thread_count": 1,
        "verbose": False,
        # It would leave a directory of logs wherever training runs.
        "allow_writing_files": False,
    },
}
# Names of one parameter, of which only one may be given.
_SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"random_state", "random_seed", "seed"}),
    frozenset({"n_jobs", "nthread", "nthreads", "num_thread", "num_threads"})
    | {"thread_count"},
    frozenset({"verbosity", "verbose", "verbose_eval", "silent", "logging_level"}),
    frozenset({"force_row_wise", "force_col_wise"}),
)


def make_booster(path: str, params: Mapping[str, Any]) -> Any:
    """The unfitted estimator at a path of `~ml_assets.core.boosters.BOOSTERS`.

    Where `params` do not say otherwise, ``random_state`` is 0, one thread is used, and
    nothing is printed or written.

    Raises
    ------
    BoosterError
        If the library is not installed, or has no such parameter or value.
    """
    kind = load_booster(path)
    known = set(parameter_names(kind))
    for name in params:
        if name not in known:
            raise BoosterError(
                f"{path} has no parameter '{name}'; it has {', '.join(sorted(known))}"
            )
    defaults = _DEFAULTS[path.partition(".")[0]]
    values = {
        name: value
        for name, value in defaults.items()
        if not _synonyms(name) & set(params)
    }
    try:
        estimator = kind(**values, **params)
        # CatBoost reads its parameters, and refuses some, when asked what it is.
        get_tags(estimator)
    except Exception as error:
        # Whatever a library raises for a value.
        raise BoosterError(f"{path} cannot be made: {error}") from error
    return estimator


def _synonyms(name: str) -> frozenset[str]:
    found = (group for group in _SYNONYMS if name in group)
    return next(found, frozenset({name}))


def parameter_names(kind: type[Any]) -> Iterator[str]:
    """The parameters of an estimator's class, also those that it passes on."""
    for ancestor in kind.__mro__:
        if "__init__" not in vars(ancestor):
            continue
        given = inspect.signature(vars(ancestor)["__init__"]).parameters.values()
        named = (item.name for item in given if item.kind in _NAMED)
        yield from (name for name in named if name != "self")
    if kind.__module__.startswith("lightgbm."):
        from lightgbm.basic import _ConfigAliases

        # Its estimators pass on whatever the library itself knows.
        for name, others in _ConfigAliases._get_all_param_aliases().items():
            yield from (name, *others)


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def searchable(estimator: Any) -> set[str]:
    """The parameters of an estimator that a search can vary.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> "max_depth" in searchable(DecisionTreeClassifier())
    True
    """
    found = set(estimator.get_params())
    if booster_of(estimator) is not None:
        # They list what was given alone.
        found |= {*parameter_names(type(estimator))}
    return found


def changed_params(estimator: Any) -> dict[str, Any]:
    """What differs from the defaults, and ``random_state``.

    The rest follows from the library's version.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> changed_params(DecisionTreeClassifier(max_depth=3))
    {'max_depth': 3, 'random_state': None}
    """
    known = inspect.signature(type(estimator)).parameters
    defaults = {name: item.default for name, item in known.items()}
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name == "random_state" or not _is_same(value, defaults.get(name))
    }


def _is_same(value: Any, default: Any) -> bool:
    # A number that is not itself is XGBoost's default for what is missing.
    return bool(value == default) or (isinstance(value, float) and value != value)
