"""A fitted pipeline as files: skops, and a file of its own for each booster in it.

``model.skops``              the pipeline; `StoredBooster` stands where a booster was
``booster-0.lightgbm.txt``   its model, in its library's own format
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ml_assets.core.boosters import (
    BoosterError,
    BoosterModel,
    booster_of,
    dump_booster,
    file_name,
    restore_booster,
)
from ml_assets.core.trusted import UntrustedError, dump_skops, load_skops

MODEL = "model.skops"


class StoredBooster:
    """An estimator of a boosting library whose model is a file beside the pipeline.

    Attributes
    ----------
    path : str
        Import path of its class.
    params : dict
        What its constructor was given.
    state : dict
        What it knows beside its model.
    file : str
        Name of the file; empty of an estimator that is not fitted.
    """

    def __init__(
        self, path: str, params: dict[str, Any], state: dict[str, Any], file: str
    ) -> None:
        self.path = path
        self.params = params
        self.state = state
        self.file = file


def without_boosters(model: Any) -> tuple[Any, dict[str, bytes]]:
    """`model` with a `StoredBooster` for each booster in it, and the models' files.

    What holds none comes back as it is, and nothing that is given is changed.
    """
    files: dict[str, bytes] = {}
    stored: dict[int, StoredBooster] = {}

    def store(value: Any) -> StoredBooster | None:
        path = booster_of(value)
        if path is None:
            return None
        if id(value) not in stored:
            found, name = dump_booster(value), ""
            if found is not None:
                name = file_name(path, len(files))
                files[name] = found.data
            state = found.state if found is not None else {}
            stored[id(value)] = StoredBooster(path, value.get_params(), state, name)
        return stored[id(value)]

    return _replaced(model, store), files


def dump_model(model: Any) -> dict[str, bytes]:
    """The files of a fitted pipeline by name, which `load_model` reads.

    Raises
    ------
    UntrustedError
        If it holds anything that no server loads, or that cannot be written.
    """
    stored, files = without_boosters(model)
    return {MODEL: dump_skops(stored), **files}


def load_model(read: Callable[[str], bytes]) -> Any:
    """Build the pipeline whose files `read` gives by name.

    Raises
    ------
    UntrustedError
        If a file names anything outside the allow-list, or cannot be built, or the
        library of a booster is not installed.
    """
    restored: dict[int, Any] = {}

    def restore(value: Any) -> Any:
        if not isinstance(value, StoredBooster):
            return None
        if id(value) not in restored:
            data = read(value.file) if value.file else None
            model = None if data is None else BoosterModel(data, value.state)
            restored[id(value)] = restore_booster(value.path, value.params, model)
        return restored[id(value)]

    pipeline = load_skops(read(MODEL))
    try:
        return _replaced(pipeline, restore)
    except BoosterError as error:
        raise UntrustedError(str(error)) from error
    except (AttributeError, TypeError) as error:
        raise UntrustedError(f"the model cannot be built: {error!r}") from error


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """`value` with each object inside of which `replace` gives another.

    Looks into lists, tuples, dicts and scikit-learn's objects.
    """
    found = replace(value)
    if found is not None:
        return found
    if isinstance(value, list | tuple):
        items = [_replaced(item, replace) for item in value]
        is_same = all(new is old for new, old in zip(items, value))
        return value if is_same else type(value)(items)
    if isinstance(value, dict):
        changed = _changes(value, replace)
        return value if not changed else _updated(value, changed)
    if type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__"):
        changed = _changes(vars(value), replace)
        if changed:
            value = copy.copy(value)
            vars(value).update(changed)
    return value


def _updated(value: dict[Any, Any], changed: dict[Any, Any]) -> dict[Any, Any]:
    found = copy.copy(value)
    found.update(changed)
    return found


def _changes(items: Mapping[Any, Any], replace: Callable[[Any], Any]) -> dict[Any, Any]:
    """The items that are others after `_replaced`."""
    found = {name: _replaced(item, replace) for name, item in items.items()}
    return {name: item for name, item in found.items() if item is not items[name]}
