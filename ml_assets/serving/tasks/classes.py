"""The labels of a classification: their JSON, their tensor, and those of feedback."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ml_assets.prediction_log.segments import label_text
from ml_assets.records.plan import LISTED, Label

_DATATYPES = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64"}


class Labels:
    """The labels of one version.

    Attributes
    ----------
    values : tuple of Label
        (negative, positive), or the classes in their order.
    texts : tuple of str
        Each as JSON.
    keys : tuple of str
        Each as the name of a member of a JSON object, in quotes.
    names : tuple of str
        The same without quotes and escapes.
    datatype : str
        Of their tensor.
    """

    def __init__(self, values: Sequence[Label]) -> None:
        self.values = tuple(values)
        self.texts = tuple(map(_json, values))
        self.names = tuple(
            value if isinstance(value, str) else label_text(value) for value in values
        )
        self.keys = tuple(map(_json, self.names))
        self.datatype = _DATATYPES[type(values[-1])]
        self._known = {label_text(value): value for value in values}

    def find(self, value: object) -> Label | None:
        """The label that `value` means in any notation; None if it means none."""
        if not isinstance(value, str | int | float):
            return None
        return self._known.get(label_text(value))

    @property
    def sentence(self) -> str:
        """All of them in words, or how many there are."""
        if len(self.values) > LISTED:
            return f"one of {len(self.values):,} known labels"
        return " or ".join(self.texts)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of one of them."""
        return {"enum": [*self.values]}


def _json(value: Label) -> str:
    return msgspec.json.encode(value).decode()
