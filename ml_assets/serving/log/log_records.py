"""The records of the prediction log, as lines of JSON."""

import time
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

Caller: TypeAlias = str | msgspec.UnsetType
# A line of JSON for each of a sequence of records.
encode = msgspec.json.Encoder().encode_lines

# How many values the last 12 hexadecimal digits of an id can have, which are random.
_IDS = 2**48


class PredictionRecord(msgspec.Struct, gc=False):
    """One prediction; `x` holds the row's values in the order of the signature.

    `caller` is the id of who asked, and is left out where no key is needed.
    """

    id: str
    time: float
    request: str
    model: str
    version: str
    arm: str
    generation: int
    entity: str | None
    caller: Caller
    x: Sequence[Any]
    p: float | None
    label: str | int | float | bool | None
    us: int


class MulticlassRecord(PredictionRecord, gc=False):
    """A prediction of several classes.

    `p` is the probability of the `label`, and `probabilities` are those of all classes
    in the order of the signature.
    """

    probabilities: Sequence[float]


class RegressionRecord(PredictionRecord, gc=False):
    """A predicted `value`; `p` and `label` are None."""

    value: float


class AnswerRecord(msgspec.Struct, gc=False):
    """The predictions of one arm for several rows of a request.

    ``ids``, ``entities``, ``x`` and ``p`` hold an item a row, as `PredictionRecord`
    does; ``labels`` holds the negative class and the positive one, which is the label
    of a row whose `p` is above one half, or the threshold of a `DecidedRecord`. Of
    several classes ``labels`` holds all, and an item of ``p`` the probability of each.
    The rows in ``x`` are as they were sent, objects by column, where ``columns`` gives
    the order of the signature.
    """

    ids: Sequence[str]
    time: float
    request: str
    model: str
    version: str
    arm: str
    generation: int
    entities: Sequence[str | None] | None
    caller: Caller
    columns: Sequence[str] | None
    x: msgspec.Raw | Sequence[Sequence[Any]]
    p: msgspec.Raw
    labels: Sequence[str | int | float | bool]
    us: int


class DecidedRecord(AnswerRecord, gc=False):
    """The predictions of one arm that decides above another threshold than one half."""

    threshold: float


class ValuesRecord(AnswerRecord, gc=False):
    """The predicted values of one arm for several rows; `p` is null, `labels` empty."""

    values: msgspec.Raw


class FailureRecord(PredictionRecord, gc=False):
    """A prediction that an arm could not make, and the name of its exception."""

    error: str


class LabelRecord(msgspec.Struct, gc=False):
    """What turned out, for a prediction id, or for an entity at a time.

    `caller` is the id of who handed it in; with `own` it counts only for predictions
    that this caller asked for. Both are left out where no key is needed.
    """

    id: str | None
    entity: str | None
    time: float | None
    label: str | int | float | bool
    received: float
    caller: Caller = msgspec.UNSET
    own: bool | msgspec.UnsetType = msgspec.UNSET


def now() -> float:
    """Unix seconds, in whole microseconds."""
    return time.time_ns() // 1000 / 1e6


def is_logged(prediction_id: str, share: float) -> bool:
    """Whether the request whose first id this is belongs to the share that is logged.

    Examples
    --------
    >>> is_logged("019aae2f-a000-7000-8000-7fffffffffff", 0.5)
    True
    >>> is_logged("019aae2f-a000-7000-8000-800000000000", 0.5)
    False
    """
    return share >= 1 or int(prediction_id[-12:], 16) < share * _IDS
