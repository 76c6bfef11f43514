"""The columns that monitoring compares: inputs, and what was constant at training.

That a constant begins to vary is worth an alarm, though no answer depends on it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.prediction_log.reader import inputs
from ml_assets.records.plan import ServingPlan
from ml_assets.records.version import VersionRecord
from ml_assets.state.bundles import signature_of, signature_of_version
from ml_assets.state.tables import MissingTableError, Tables
from ml_assets.state.versions import PROFILE, Versions

if TYPE_CHECKING:
    import pandas as pd

# Key in a version's profile: columns that are no inputs because they had one value.
CONSTANTS = "constants"


def constants(record: VersionRecord) -> dict[str, Any]:
    """The value of each column that training left out because it had one value."""
    store = Tables()
    asked = [c.name for c in signature_of_version(record).columns if c.ignored]
    try:
        there = store.columns(record.model, "raw", record.raw_version)
        names = [name for name in asked if name in there]
        rows = store.read(record.model, "raw", record.raw_version, names)
    except MissingTableError:
        return {}
    same = [name for name in names if rows[name].nunique(dropna=False) == 1]
    return {name: rows[name].tolist()[0] for name in same if rows[name].notna().all()}


def with_constants(frame: "pd.DataFrame", values: Mapping[str, Any]) -> "pd.DataFrame":
    """`frame` with columns that always had one value; where they lack it, they have it.

    A request that leaves such a column out is no sign of a change.
    """
    import pandas as pd

    from ml_assets.ml.frames import with_columns

    columns = {}
    for name, value in values.items():
        same = pd.Series([value] * len(frame), index=frame.index)
        known = frame[name] if name in frame.columns else same
        columns[name] = known.where(known.notna(), same)
    return with_columns(frame, columns)


def observed(
    plan: ServingPlan, texts: Sequence[str]
) -> tuple["pd.DataFrame", list[str]]:
    """The columns of logged rows, and those of them that no caller has sent.

    What was always the same at training counts as sent so where a row leaves it out.
    """
    signature = signature_of(plan.live)
    profile = Versions().document(plan.model, plan.live.version, PROFILE) or {}
    frame = with_constants(inputs(texts, signature), profile.get(CONSTANTS, {}))
    optional = [column.name for column in signature.columns if column.optional]
    return frame, [name for name in optional if frame[name].isna().all()]
