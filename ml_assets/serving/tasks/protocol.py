"""The interface of a task to the protocols, the log and the documents of a server."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Label
from ml_assets.serving.log.log_records import AnswerRecord, Caller, PredictionRecord

# The first fields of a `PredictionRecord`, up to its row.
Head: TypeAlias = tuple[
    *tuple[str, float, str, str, str, str, int],
    str | None,
    Caller,
    Sequence[Any],
]
# Those of an `AnswerRecord`, up to its rows.
AnswerHead: TypeAlias = tuple[
    Sequence[str],
    *tuple[float, str, str, str, str, int],
    Sequence[str | None] | None,
    Caller,
    Sequence[str] | None,
    msgspec.Raw | Sequence[Sequence[Any]],
]
_encoder = msgspec.json.Encoder()


class Output(NamedTuple):
    """A tensor of the Open Inference Protocol.

    ``width`` is its second dimension, 0 where it has one dimension only; ``classes``
    names the columns of such a one.
    """

    name: str
    datatype: str
    width: int = 0
    classes: tuple[Label, ...] = ()

    def shape(self, rows: int) -> list[int]:
        """Its shape for so many rows, -1 for any number."""
        return [rows, self.width] if self.width else [rows]

    @property
    def parameters(self) -> dict[str, Any]:
        """The member ``parameters``, where there is anything to say."""
        return {"parameters": {"classes": self.classes}} if self.classes else {}


class Answers(Protocol):
    """What the answers of one version are, by the task of its signature.

    An answer, once it was checked, is a float, or a list of one float for each class.

    Attributes
    ----------
    outputs : tuple of Output
        The tensors of the answers.
    label_names : str
        The labels that feedback may have, in words.
    label_schema : dict
        JSON schema of such a label.
    label_example : object
        One of them.
    schema : dict
        JSON schemas of the members of a prediction beside its id.
    """

    outputs: tuple[Output, ...]
    label_names: str
    label_schema: dict[str, Any]
    label_example: Label
    schema: dict[str, Any]

    def checked_one(self, answer: Any) -> Any:
        """What a runtime gave for one row, as a float or a list.

        Raises
        ------
        ArithmeticError
            If it is no answer of this task.
        """
        ...

    def checked(self, answers: NDArray[np.float64]) -> list[Any]:
        """What a runtime gave for n rows, as floats or lists.

        Raises
        ------
        ArithmeticError
            If one is no answer of this task.
        """
        ...

    def labels(self, answers: list[Any]) -> list[Label]:
        """The prediction for each answer: its label, or the value itself."""
        ...

    def members(self, answer: Any) -> str:
        """The members of one prediction as JSON, without braces."""
        ...

    def parts(
        self, answers: list[Any], texts: list[str], ends: str | list[str]
    ) -> Sequence[str | list[str]]:
        """The JSON of several predictions between their ids, for `joined_rows`.

        Parameters
        ----------
        answers : sequence
        texts : list of str
            The JSON of each answer.
        ends : str or list of str
            What follows the members: the same for all rows, or one text each.
        """
        ...

    def columns(self, answers: list[Any]) -> dict[str, list[Any]]:
        """The data of each output, row by row."""
        ...

    def limits(self, answers: list[Any]) -> dict[str, list[float]]:
        """``lower`` and ``upper`` of the interval of each row, where there are some."""
        ...

    def named(self, answers: list[Any]) -> list[Any]:
        """The probabilities behind each prediction; empty where there are none."""
        ...

    def record(self, head: Head, answer: Any, us: int) -> PredictionRecord:
        """The log record of one prediction, whose first fields are `head`."""
        ...

    def records(self, head: AnswerHead, answers: msgspec.Raw, us: int) -> AnswerRecord:
        """The log record of several predictions, whose first fields are `head`."""
        ...

    def label(self, value: object) -> Label | None:
        """A label of feedback as the log has it; None where it is none."""
        ...


def json_text(value: float) -> str:
    """The JSON of a number, a seventh of the time of its `repr`.

    Examples
    --------
    >>> json_text(0.1), json_text(1e-7)
    ('0.1', '1e-7')
    """
    return _encoder.encode(value).decode()


def json_texts(values: Sequence[object]) -> list[str]:
    """The JSON of each value of a sequence, in one call of the encoder.

    Examples
    --------
    >>> json_texts([0.1, None, (1.0, "a")])
    ['0.1', 'null', '[1.0,"a"]']
    """
    # A line break inside of a text is escaped in JSON.
    texts = _encoder.encode_lines(values).decode().split("\n")
    texts.pop()
    return texts


def with_ends(texts: list[str], ends: str | list[str]) -> list[str]:
    """Each text with what follows it.

    Examples
    --------
    >>> with_ends(["a", "b"], "!"), with_ends(["a", "b"], ["1", "2"])
    (['a!', 'b!'], ['a1', 'b2'])
    """
    if isinstance(ends, str):
        return [text + ends for text in texts]
    return [text + end for text, end in zip(texts, ends, strict=True)]
