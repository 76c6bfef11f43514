"""The rows that a version was made from, and which rows of another table they are."""

from typing import TYPE_CHECKING, NamedTuple

from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.tables import MissingTableError, Tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


class RowsError(Exception):
    """What a version was made from is not there, or cannot be found again."""


class Rows(NamedTuple):
    """The labelled rows that a version was made from, and which were held out.

    ``cells`` are those of the feature table as the source had them, where that is kept.
    """

    record: VersionRecord
    table: "pd.DataFrame"
    cells: "pd.DataFrame"
    test: "Mask"


def labelled(raw: "pd.DataFrame", target: str) -> "pd.DataFrame":
    """The raw rows that a feature table has, in its order: those with a target."""
    return raw[raw[target].notna().to_numpy()].reset_index(drop=True)


def rows_of(record: VersionRecord) -> Rows:
    """The rows of a version.

    Raises
    ------
    RowsError
        If its feature table was removed.
    """
    from ml_assets.state.bundles import signature_of_version

    store = Tables()
    try:
        table = store.read(record.model, "features", record.features_version)
    except MissingTableError as error:
        raise RowsError(
            f"which rows {record.version} was trained on is not known: {error}"
        ) from error
    test = table[HELD_OUT].to_numpy()
    try:
        raw = store.read(record.model, "raw", record.raw_version)
    except MissingTableError:
        return Rows(record, table, table, test)
    cells = labelled(raw, signature_of_version(record).target)
    # Test rows that another source brought are in the feature table only.
    return Rows(record, table, cells if len(cells) == len(table) else table, test)


def is_among(
    spec: ModelSpec, cells: "pd.DataFrame", others: Rows, chosen: "Mask"
) -> "Mask":
    """Which rows are among the chosen rows of a version, or in a group of theirs.

    Raises
    ------
    IdentityError
        If none of the columns that identify a row is in both, or a column of
        ``split.key`` or ``split.group`` is missing.
    """
    from ml_assets.ml.row_identity import Identity, are_among
    from ml_assets.state.pinned import pinned_identity

    identity = pinned_identity(spec, cells)
    if spec.split.type in ("time", "order"):
        # There twins are no leak, but the same thing that happened again.
        both = {*cells.columns} & {*others.cells.columns}
        names = both - {spec.target, HELD_OUT}
        identity = Identity(tuple(sorted(names)), counts_twins=True)
    return are_among(cells, identity, others.cells, chosen)
