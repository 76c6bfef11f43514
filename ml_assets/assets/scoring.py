"""A version's probabilities on rows that were held out."""

from typing import TYPE_CHECKING, Any

from ml_assets.assets.features import HELD_OUT
from ml_assets.bundles import fetch_bundle
from ml_assets.model import ModelSpec
from ml_assets.resources.tables import TableStore
from ml_assets.storage import storage_root
from ml_assets.versions import VersionRecord, VersionStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class IncomparableError(Exception):
    """A version cannot score rows of today's shape."""


def held_out_rows(
    spec: ModelSpec, record: VersionRecord
) -> "tuple[pd.DataFrame, NDArray[np.int64]]":
    """The held-out rows of a version, and their target as 0 and 1 in its classes."""
    from ml_assets.classes import classes_of, signature_of_version
    from ml_assets.ml.classes import as_classes

    store = TableStore(storage_root())
    table = store.read(spec.name, "features", record.features_version)
    rows = table[table[HELD_OUT].to_numpy()]
    classes = classes_of(signature_of_version(record))
    return rows, as_classes(rows[spec.target], classes)


def load(record: VersionRecord) -> Any:
    """The fitted pipeline of a version, verified."""
    from ml_assets.serving.bundle import load_pipeline

    return load_pipeline(fetch_bundle(record), record.files)


def score(pipeline: Any, rows: "pd.DataFrame") -> "NDArray[np.float64]":
    """Probability of positive for each row.

    Raises
    ------
    IncomparableError
        If the rows lack a column that the version reads.
    """
    from ml_assets.ml.training import probabilities

    wanted = list(pipeline.feature_names_in_)
    absent = [name for name in wanted if name not in rows.columns]
    if absent:
        raise IncomparableError(f"it reads the column {absent[0]}, which is gone")
    return probabilities(pipeline, rows[wanted])


def champion_metrics(
    model: str, champion: str, rows: "pd.DataFrame", y: "NDArray[np.int64]"
) -> dict[str, float]:
    """The champion's figures on `rows`; empty, which the gate takes as NaN, if none.

    Raises
    ------
    IncomparableError
        If the champion cannot score these rows.
    """
    from ml_assets.ml.evaluation import evaluate

    record = VersionStore(storage_root()).get(model, champion)
    return dict(evaluate(y, _score_as(record, rows, y)).metrics)


def _score_as(
    record: VersionRecord, rows: "pd.DataFrame", y: "NDArray[np.int64]"
) -> "NDArray[np.float64]":
    """Probability of what `y` calls 1, by a version that may call the other one so."""
    from ml_assets.classes import classes_of, signature_of_version
    from ml_assets.ml.classes import as_classes
    from ml_assets.ml.retype import FeatureError

    signature = signature_of_version(record)
    if signature.target not in rows.columns:
        raise IncomparableError(
            f"it predicts '{signature.target}', which the rows do not have"
        )
    try:
        own = as_classes(rows[signature.target], classes_of(signature))
    except FeatureError as error:
        raise IncomparableError(str(error)) from error
    probability = score(load(record), rows)
    return probability if (own == y).all() else 1 - probability
