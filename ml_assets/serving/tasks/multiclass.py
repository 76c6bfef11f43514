"""Several classes: the answer is the probability of each, in the signature's order."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Label, Signature
from ml_assets.serving.log.log_records import (
    AnswerRecord,
    MulticlassRecord,
    PredictionRecord,
)
from ml_assets.serving.tasks.binary import PROBABILITY
from ml_assets.serving.tasks.classes import Labels
from ml_assets.serving.tasks.protocol import (
    AnswerHead,
    Head,
    Output,
    json_texts,
    with_ends,
)


class MulticlassAnswers:
    """See `ml_assets.serving.tasks.Answers` for the methods.

    The label is the class of the greatest probability, and of several the first, as
    scikit-learn has it.
    """

    def __init__(self, signature: Signature) -> None:
        labels = Labels(signature.classes)
        self._labels, self._texts, self._names = (
            labels.values,
            labels.texts,
            labels.names,
        )
        self._keys, self._find = labels.keys, labels.find
        self.outputs: tuple[Output, ...] = (
            Output("probability", "FP64"),
            Output("label", labels.datatype),
            Output("probabilities", "FP64", len(labels.values), labels.values),
        )
        self.label_names = labels.sentence
        self.label_schema = labels.schema
        self.label_example: Label = labels.values[0]
        self.schema: dict[str, Any] = {
            "probability": PROBABILITY,
            "label": labels.schema,
            "probabilities": {
                "type": "object",
                "required": [*labels.names],
                "properties": dict.fromkeys(labels.names, PROBABILITY),
                "additionalProperties": False,
            },
        }

    def checked_one(self, answer: NDArray[np.float64]) -> list[float]:
        """The probabilities of one row."""
        return self.checked(answer.reshape(1, -1))[0]

    def checked(self, answers: NDArray[np.float64]) -> list[list[float]]:
        """The probabilities of several rows."""
        if answers.ndim != 2 or answers.shape[1] != len(self._labels):
            raise ArithmeticError(f"the version gave answers of shape {answers.shape}")
        if not (answers.min() >= 0.0 and answers.max() <= 1.0):
            raise ArithmeticError("the version gave no probabilities")
        found: list[list[float]] = answers.tolist()
        return found

    def labels(self, answers: list[list[float]]) -> list[Label]:
        """The likeliest class."""
        return [self._labels[answer.index(max(answer))] for answer in answers]

    def members(self, answer: list[float]) -> str:
        """``probability`` of the label, ``label``, and the ``probabilities`` of all."""
        best = answer.index(max(answer))
        texts = json_texts(answer)
        each = ",".join(
            f"{key}:{text}" for key, text in zip(self._keys, texts, strict=True)
        )
        return (
            f'"probability":{texts[best]},"label":{self._texts[best]},'
            f'"probabilities":{{{each}}}'
        )

    def parts(
        self, answers: list[list[float]], texts: list[str], ends: str | list[str]
    ) -> Sequence[str | list[str]]:
        """``probability``, ``label`` and ``probabilities`` of several rows."""
        count = len(self._keys)
        cells = ",".join([text[1:-1] for text in texts]).split(",")
        likeliest = [answer.index(max(answer)) for answer in answers]
        most = [cells[row * count + best] for row, best in enumerate(likeliest)]
        labels = [self._texts[best] for best in likeliest]
        parts: list[str | list[str]] = ['","probability":', most, ',"label":', labels]
        opening = ',"probabilities":{'
        for position, key in enumerate(self._keys):
            parts += [f"{opening}{key}:", cells[position::count]]
            opening = ","
        if isinstance(ends, str):
            return [*parts, "}" + ends]
        return [*parts, with_ends(["}"] * len(answers), ends)]

    def columns(self, answers: list[list[float]]) -> dict[str, list[Any]]:
        """``probability``, ``label``, and ``probabilities`` in one list."""
        return {
            "probability": [max(answer) for answer in answers],
            "label": self.labels(answers),
            "probabilities": [value for answer in answers for value in answer],
        }

    def limits(self, answers: list[list[float]]) -> dict[str, list[float]]:
        """Nothing: classes have no interval."""
        return {}

    def named(self, answers: list[list[float]]) -> list[dict[str, float]]:
        """The probability of each class by its name."""
        names = self._names
        return [dict(zip(names, answer, strict=True)) for answer in answers]

    def record(self, head: Head, answer: list[float], us: int) -> PredictionRecord:
        """One prediction."""
        most = max(answer)
        label = self._labels[answer.index(most)]
        return MulticlassRecord(*head, most, label, us, answer)

    def records(self, head: AnswerHead, answers: msgspec.Raw, us: int) -> AnswerRecord:
        """Several predictions."""
        return AnswerRecord(*head, answers, self._labels, us)

    def label(self, value: object) -> Label | None:
        """One of the classes."""
        return self._find(value)
