"""Numbers: the answer is the value."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Label, Signature
from ml_assets.serving.log.log_records import (
    AnswerRecord,
    PredictionRecord,
    RegressionRecord,
    ValuesRecord,
)
from ml_assets.serving.tasks.protocol import (
    AnswerHead,
    Head,
    Output,
    json_text,
    with_ends,
)

_NULL = msgspec.Raw(b"null")


class RegressionAnswers:
    """See `ml_assets.serving.tasks.Answers` for the methods."""

    def __init__(self, _: Signature) -> None:
        self.outputs: tuple[Output, ...] = (Output("value", "FP64"),)
        self.label_names = "a finite number"
        self.label_schema: dict[str, Any] = {"type": "number"}
        self.label_example: Label = 1.5
        self.schema: dict[str, Any] = {"value": {"type": "number"}}

    def checked_one(self, answer: float) -> float:
        """The value of one row."""
        if not isfinite(answer):
            raise ArithmeticError("the version gave no finite value")
        return answer

    def checked(self, answers: NDArray[np.float64]) -> list[float]:
        """The values of several rows."""
        if answers.ndim != 1 or not np.isfinite(answers).all():
            raise ArithmeticError("the version gave no finite value")
        found: list[float] = answers.tolist()
        return found

    def labels(self, answers: list[float]) -> list[Label]:
        """The values themselves."""
        return [*answers]

    def members(self, answer: float) -> str:
        """``value``."""
        return f'"value":{json_text(answer)}'

    def parts(
        self, answers: list[float], texts: list[str], ends: str | list[str]
    ) -> Sequence[str | list[str]]:
        """``value`` of several rows."""
        return '","value":', with_ends(texts, ends)

    def columns(self, answers: list[float]) -> dict[str, list[Any]]:
        """``value``."""
        return {"value": answers}

    def limits(self, answers: list[float]) -> dict[str, list[float]]:
        """Nothing: the version has no interval."""
        return {}

    def named(self, answers: list[float]) -> list[Any]:
        """Nothing: a value has no probability."""
        return []

    def record(self, head: Head, answer: float, us: int) -> PredictionRecord:
        """One prediction."""
        return RegressionRecord(*head, None, None, us, answer)

    def records(self, head: AnswerHead, answers: msgspec.Raw, us: int) -> AnswerRecord:
        """Several predictions."""
        return ValuesRecord(*head, _NULL, (), us, answers)

    def label(self, value: object) -> float | None:
        """A number that is finite in float64."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if isfinite(found) else None
