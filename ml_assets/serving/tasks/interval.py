"""Numbers with a prediction interval: ``lower`` and ``upper`` beside the value."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Interval, Signature
from ml_assets.serving.tasks.protocol import Output, json_text, json_texts, with_ends
from ml_assets.serving.tasks.regression import RegressionAnswers

LIMITS = ("lower", "upper")


class IntervalAnswers(RegressionAnswers):
    """See `ml_assets.serving.tasks.Answers` for the methods.

    The log has the value alone: the half width is the same for all of a version.
    """

    def __init__(self, signature: Signature, interval: Interval) -> None:
        super().__init__(signature)
        self.half_width = interval.half_width
        self.outputs = (*self.outputs, *(Output(name, "FP64") for name in LIMITS))
        about = f" end of the interval that holds {interval.level:g} of all outcomes"
        for name in LIMITS:
            self.schema[name] = {"type": "number", "description": f"{name}{about}"}

    def checked_one(self, answer: float) -> float:
        """The value of one row."""
        if not isfinite(abs(answer) + self.half_width):
            raise ArithmeticError("the version gave no finite interval")
        return answer

    def checked(self, answers: NDArray[np.float64]) -> list[float]:
        """The values of several rows."""
        found = super().checked(answers)
        if not isfinite(max(map(abs, found)) + self.half_width):
            raise ArithmeticError("the version gave no finite interval")
        return found

    def members(self, answer: float) -> str:
        """``value``, ``lower`` and ``upper``."""
        lower = json_text(answer - self.half_width)
        upper = json_text(answer + self.half_width)
        return f'"value":{json_text(answer)},"lower":{lower},"upper":{upper}'

    def parts(
        self, answers: list[float], texts: list[str], ends: str | list[str]
    ) -> Sequence[str | list[str]]:
        """``value``, ``lower`` and ``upper`` of several rows."""
        lower, upper = map(json_texts, self.limits(answers).values())
        return (
            *('","value":', texts, ',"lower":', lower),
            *(',"upper":', with_ends(upper, ends)),
        )

    def columns(self, answers: list[float]) -> dict[str, list[Any]]:
        """``value``, ``lower`` and ``upper``."""
        return super().columns(answers) | self.limits(answers)

    def limits(self, answers: list[float]) -> dict[str, list[float]]:
        """``lower`` and ``upper``."""
        pairs = [*zip(answers, self._half_widths(len(answers)), strict=True)]
        return {
            "lower": [answer - half for answer, half in pairs],
            "upper": [answer + half for answer, half in pairs],
        }

    def _half_widths(self, rows: int) -> Sequence[float]:
        """That of each row."""
        return [self.half_width] * rows


class RowwiseIntervalAnswers(IntervalAnswers):
    """Answers of several versions, each of which has its own half width.

    Parameters
    ----------
    rows : sequence of IntervalAnswers
        Those of the version that answered each row.
    """

    def __init__(self, rows: Sequence[IntervalAnswers]) -> None:
        vars(self).update(vars(rows[0]))
        self._each = [row.half_width for row in rows]

    def _half_widths(self, rows: int) -> Sequence[float]:
        return self._each
