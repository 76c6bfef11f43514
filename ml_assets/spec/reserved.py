"""Names that the platform keeps for itself: a column, and a ledger."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_assets.spec.model import ModelSpec

# Of the feature table: which rows are held out to test.
HELD_OUT = "__held_out__"
# The ledger of the platform's own releases; no model may have this name.
RELEASE = "release"


def reserved(spec: "ModelSpec", columns: Collection[str] = ()) -> str | None:
    """What is wrong where `spec`, or data with `columns`, uses a name that is kept.

    Every other name is free: what the platform knows of a prediction is in the log
    beside the row, and not among its columns.

    Examples
    --------
    >>> from ml_assets.spec.model import ModelSpec, SourceSpec
    >>> spec = ModelSpec(name="m", source=SourceSpec(type="synthetic"), target="late")
    >>> reserved(spec, ["id", "label", "probability"])
    >>> reserved(spec, ["__held_out__"])
    "column '__held_out__' is kept for the held-out rows of the feature table: rename \
it at the source, or name it in features.drop"
    """
    reason = f"column '{HELD_OUT}' is kept for the held-out rows of the feature table"
    if HELD_OUT in (spec.target, *spec.split.beside_inputs, *spec.features.derive):
        named = "the target, split.column, split.group or derived column"
        return f"{reason}: give {named} another name"
    if HELD_OUT in columns and HELD_OUT not in spec.features.drop:
        return f"{reason}: rename it at the source, or name it in features.drop"
    return None
