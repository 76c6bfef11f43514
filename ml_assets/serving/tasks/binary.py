"""Two classes: the answer is the probability of the positive one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import HALF, Label, Signature
from ml_assets.serving.log.log_records import (
    AnswerRecord,
    DecidedRecord,
    PredictionRecord,
)
from ml_assets.serving.tasks.classes import Labels
from ml_assets.serving.tasks.protocol import AnswerHead, Head, Output, json_text

PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}


class BinaryAnswers:
    """See `ml_assets.serving.tasks.Answers` for the methods."""

    def __init__(self, signature: Signature) -> None:
        labels = Labels(signature.labels)
        self.threshold = signature.threshold
        self._labels, self._texts = labels.values, labels.texts
        self._find = labels.find
        self.outputs: tuple[Output, ...] = (
            Output("probability", "FP64"),
            Output("label", labels.datatype),
        )
        self.label_names = labels.sentence
        self.label_schema = labels.schema
        self.label_example: Label = labels.values[-1]
        self.schema: dict[str, Any] = {
            "probability": PROBABILITY,
            "label": labels.schema,
        }

    def checked_one(self, answer: float) -> float:
        """The probability of one row."""
        # A comparison with NaN is false, and NaN is not JSON.
        if not 0.0 <= answer <= 1.0:
            raise ArithmeticError("the version gave no probability")
        return answer

    def checked(self, answers: NDArray[np.float64]) -> list[float]:
        """The probabilities of several rows."""
        if not (answers.min() >= 0.0 and answers.max() <= 1.0):
            raise ArithmeticError("the version gave no probability")
        found: list[float] = answers.tolist()
        return found

    def labels(self, answers: list[float]) -> list[Label]:
        """The positive class above the threshold, else the negative one."""
        labels = self._labels
        return [labels[positive] for positive in self._decided(answers)]

    def members(self, answer: float) -> str:
        """``probability`` and ``label``."""
        label = self._texts[answer > self.threshold]
        return f'"probability":{json_text(answer)},"label":{label}'

    def parts(
        self, answers: list[float], texts: list[str], ends: str | list[str]
    ) -> Sequence[str | list[str]]:
        """``probability`` and ``label`` of several rows."""
        decided = self._decided(answers)
        labels = [f',"label":{text}' for text in self._texts]
        if isinstance(ends, str):
            # The end of a row and the start of the next are one text: fewer to join.
            labels = [label + ends for label in labels]
            tails = [labels[positive] for positive in decided]
        else:
            tails = [
                labels[positive] + end
                for positive, end in zip(decided, ends, strict=True)
            ]
        return '","probability":', texts, tails

    def columns(self, answers: list[float]) -> dict[str, list[Any]]:
        """``probability`` and ``label``."""
        return {"probability": answers, "label": self.labels(answers)}

    def limits(self, answers: list[float]) -> dict[str, list[float]]:
        """Nothing: classes have no interval."""
        return {}

    def named(self, answers: list[float]) -> list[float]:
        """The probability of the positive class."""
        return answers

    def record(self, head: Head, answer: float, us: int) -> PredictionRecord:
        """One prediction."""
        return PredictionRecord(
            *head, answer, self._labels[answer > self.threshold], us
        )

    def records(self, head: AnswerHead, answers: msgspec.Raw, us: int) -> AnswerRecord:
        """Several predictions."""
        if self.threshold == HALF:
            return AnswerRecord(*head, answers, self._labels, us)
        return DecidedRecord(*head, answers, self._labels, us, self.threshold)

    def label(self, value: object) -> Label | None:
        """One of the two labels."""
        return self._find(value)

    def _decided(self, answers: list[float]) -> list[bool]:
        """Whether each row is of the positive class."""
        threshold = self.threshold
        return [answer > threshold for answer in answers]


class RowwiseBinaryAnswers(BinaryAnswers):
    """Answers of several versions, each of which decides by its own threshold.

    Parameters
    ----------
    rows : sequence of BinaryAnswers
        Those of the version that answered each row; the classes are the same.
    """

    def __init__(self, rows: Sequence[BinaryAnswers]) -> None:
        vars(self).update(vars(rows[0]))
        self._thresholds = [row.threshold for row in rows]

    def _decided(self, answers: list[float]) -> list[bool]:
        pairs = zip(answers, self._thresholds, strict=True)
        return [answer > threshold for answer, threshold in pairs]
