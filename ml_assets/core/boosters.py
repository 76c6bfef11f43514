"""LightGBM, XGBoost and CatBoost: their estimators, and their models as files.

None of the libraries is imported before one of its estimators is asked for.
"""

import importlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Literal, NamedTuple

# Import path of an estimator: what it is for. The first part is also the extra's name.
BOOSTERS: dict[str, Literal["classification", "regression"]] = {
    "lightgbm.LGBMClassifier": "classification",
    "lightgbm.LGBMRegressor": "regression",
    "xgboost.XGBClassifier": "classification",
    "xgboost.XGBRegressor": "regression",
    "catboost.CatBoostClassifier": "classification",
    "catboost.CatBoostRegressor": "regression",
}
LIBRARIES = frozenset(path.partition(".")[0] for path in BOOSTERS)

# What LightGBM's estimators know beside the text of their model.
_LIGHTGBM_STATE = (
    *("_n_features", "_n_features_in", "_classes", "_n_classes", "_le", "_class_map"),
    *("_objective", "_class_weight", "_best_iteration", "_fitted_with_feature_names"),
    "fitted_",
)


class BoosterError(ValueError):
    """An estimator whose library is not installed, or a model that it cannot read."""


class BoosterModel(NamedTuple):
    """A fitted estimator apart from its parameters.

    Attributes
    ----------
    data : bytes
        The model in the library's own format.
    state : dict
        What the estimator knows beside it.
    """

    data: bytes
    state: dict[str, Any]


def booster_of(estimator: Any) -> str | None:
    """The import path in `BOOSTERS` of an object's class; None of another class.

    Examples
    --------
    >>> booster_of([1]) is None
    True
    """
    kind = type(estimator)
    path = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    return path if path in BOOSTERS else None


def load_booster(path: str) -> type[Any]:
    """The class at an import path in `BOOSTERS`, or another of such a library.

    Raises
    ------
    BoosterError
        If its library is not installed, with the extra that brings it.
    """
    library, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise BoosterError(
            f"{path} needs the library {library}, which cannot be imported ({error});"
            f" pip install 'ml-assets[{library}]'"
        ) from error
    kind: type[Any] = getattr(module, name)
    return kind


def is_booster_error(error: Exception) -> bool:
    """Whether one of the libraries raised an exception of its own."""
    return type(error).__module__.partition(".")[0] in LIBRARIES | {"_catboost"}


def file_name(path: str, number: int) -> str:
    """Name of the file that holds the model of an estimator at an import path.

    Examples
    --------
    >>> file_name("lightgbm.LGBMClassifier", 0)
    'booster-0.lightgbm.txt'
    """
    library = path.partition(".")[0]
    return f"booster-{number}.{library}.{_FORMATS[library].suffix}"


def distributions_of(files: Iterable[str]) -> list[str]:
    """The installed distributions that read model files of `file_name`, sorted.

    Those of XGBoost, for one, have several names.
    """
    libraries = {name.split(".")[1] for name in files}
    known = packages_distributions() if libraries else {}
    return sorted(known[library][0] for library in libraries)


def dump_booster(estimator: Any) -> BoosterModel | None:
    """The model of an estimator of `BOOSTERS`; None where it is not fitted."""
    path = booster_of(estimator) or ""
    found: BoosterModel | None = _FORMATS[path.partition(".")[0]].dump(estimator)
    return found


def restore_booster(
    path: str, params: Mapping[str, Any], model: BoosterModel | None
) -> Any:
    """The estimator that `dump_booster` was given.

    Raises
    ------
    BoosterError
        If there is no such estimator, or its library is not installed or cannot read
        the model.
    """
    if path not in BOOSTERS:
        raise BoosterError(f"'{path}' is none of {', '.join(BOOSTERS)}")
    kind = load_booster(path)
    try:
        estimator = kind(**params)
        if model is not None:
            _FORMATS[path.partition(".")[0]].load(estimator, model)
    except Exception as error:
        # Whatever a damaged file provokes inside the library.
        raise BoosterError(f"the model of {path} cannot be built: {error!r}") from error
    return estimator


def _dump_lightgbm(estimator: Any) -> BoosterModel | None:
    if not estimator.__sklearn_is_fitted__():
        return None
    known = vars(estimator)
    state = {name: known[name] for name in _LIGHTGBM_STATE if name in known}
    return BoosterModel(estimator.booster_.model_to_string().encode(), state)


def _load_lightgbm(estimator: Any, model: BoosterModel) -> None:
    booster = load_booster("lightgbm.Booster")
    estimator._Booster = booster(model_str=model.data.decode())
    for name in _LIGHTGBM_STATE:
        if name in model.state:
            setattr(estimator, name, model.state[name])


def _dump_xgboost(estimator: Any) -> BoosterModel | None:
    if not estimator.__sklearn_is_fitted__():
        return None
    return BoosterModel(bytes(estimator.get_booster().save_raw("json")), {})


def _load_xgboost(estimator: Any, model: BoosterModel) -> None:
    params = estimator.get_params()
    estimator.load_model(bytearray(model.data))
    # Among them are now some that training found, such as the base score.
    estimator.set_params(**params)


# From its own JSON, CatBoost 1.2.10 reads numbers with other last bits.
_CATBOOST = "cbm"


def _dump_catboost(estimator: Any) -> BoosterModel | None:
    if not estimator.is_fitted():
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model"
        estimator.save_model(str(path), format=_CATBOOST)
        return BoosterModel(path.read_bytes(), {})


def _load_catboost(estimator: Any, model: BoosterModel) -> None:
    estimator.load_model(blob=model.data, format=_CATBOOST)


class _Format(NamedTuple):
    suffix: str
    dump: Callable[[Any], BoosterModel | None]
    load: Callable[[Any, BoosterModel], None]


_FORMATS = {
    "lightgbm": _Format("txt", _dump_lightgbm, _load_lightgbm),
    "xgboost": _Format("json", _dump_xgboost, _load_xgboost),
    "catboost": _Format(_CATBOOST, _dump_catboost, _load_catboost),
}
