"""One version in memory, and what it predicts."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from ml_assets.records.plan import Arm, Column, Label, Signature
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.probe import Speed
from ml_assets.serving.requests.batch import Batch, Value
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.requests.values import converted
from ml_assets.serving.runtime import Refused, Runtime
from ml_assets.serving.tasks import Answers, answers_of, answers_of_rows
from ml_assets.serving.tasks.protocol import json_texts

# The event loop waits no longer for an answer: in a thread it costs 0.1 ms more, and
# holds nobody up.
INLINE_SECONDS = 0.001
# A body so short is decoded on the event loop, to count its rows.
_SHORT_BYTES = 4096
_REFUSED = "expected values in the range of the model, found one beyond it"
_NUMERIC = ("number", "integer")
# What stands for a column that the requests of the live version do not have.
_NOTHING = -1


class Scored(msgspec.Struct, gc=False):
    """The predictions of one request: one id and one answer per row.

    ``arms`` holds the arm of each row where a plan splits the traffic, and ``arm`` is
    the first of them; elsewhere it is None, and ``arm`` answered all rows.
    """

    arm: "ServedArm"
    request_id: str
    batch: Batch
    ids: list[str]
    answers: list[Any]
    arms: "Sequence[ServedArm] | None" = None
    _texts: list[str] | None = None

    @property
    def labels(self) -> list[Label]:
        """The prediction for each row: its class, or the value."""
        return self.task.labels(self.answers)

    @property
    def task(self) -> Answers:
        """What the answers are: each row's arm decides by its own threshold."""
        if self.arms is None:
            return self.arm.task
        return answers_of_rows([arm.task for arm in self.arms])

    @property
    def texts(self) -> list[str]:
        """The answers as JSON, of which any double comes back to the last bit."""
        if self._texts is None:
            self._texts = json_texts(self.answers)
        return self._texts

    @property
    def only_arm(self) -> "ServedArm | None":
        """The arm that answered all rows, or None where there were several."""
        arms = self.arms
        if arms is None or all(arm is arms[0] for arm in arms):
            return self.arm
        return None


class ServedArm:
    """One version in memory: its runtime, and the decoder of its requests.

    ``inline_rows`` of a request may be answered on the event loop, none where it is 0;
    a body of more than ``inline_bytes`` holds more of them.
    """

    def __init__(
        self,
        model: str,
        arm: Arm,
        runtime: Runtime,
        max_rows: int,
        ids: PredictionIds,
        speed: Speed | None = None,
    ) -> None:
        self.model = model
        self.version = arm.version
        self.mode = arm.mode
        self.share = arm.share
        # How answers begin in JSON, up to the request's id: its own, and those to rows
        # of which others answered some.
        self.opening = _opening(model, f'"{arm.version}","arm":"{arm.mode}"')
        self.opening_of_several = _opening(model, 'null,"arm":null')
        self.runtime = runtime
        self.signature: Signature = runtime.signature
        self.decoder = RowDecoder(self.signature, max_rows)
        self.ids = ids
        self.task = answers_of(self.signature)
        self.inline_rows = self.inline_bytes = sys.maxsize
        if runtime.kind != "compiled":
            self.inline_rows = self.inline_bytes = 0
        elif speed is not None:
            self.inline_rows = speed.rows_within(INLINE_SECONDS)
            # The rows are counted where this is not exceeded.
            longest = speed.bytes_of(self.inline_rows)
            self.inline_bytes = max(longest, _SHORT_BYTES) if self.inline_rows else 0
        self._order: tuple[int, ...] | None = None
        self._converted: dict[int, Column] = {}

    def read_like(self, live: "ServedArm") -> None:
        """Take the rows that `live` takes, whose columns may stand in another order.

        What this version may do without, and `live` does not know, is missing; a truth
        value that one of the two takes for a category is converted to this version's.

        Raises
        ------
        ValueError
            If those rows do not hold what this version needs, or the task or its
            classes differ.
        """
        own, other = self.signature, live.signature
        if own.task != other.task:
            raise ValueError(
                f"version {self.version} is of task {own.task}, expected {other.task}"
                f" as version {live.version}"
            )
        if own.labels != other.labels:
            raise ValueError(
                f"version {self.version} tells {own.labels} apart, expected"
                f" {other.labels} as version {live.version}"
            )
        given = {item.name: index for index, item in enumerate(live.signature.columns)}
        kinds = {item.name: item.kind for item in live.signature.columns}
        self._converted = {}
        for position, column in enumerate(self.signature.columns):
            found = kinds.get(column.name)
            if column.ignored or (found is None and column.optional):
                continue
            kinds_of_both = {found, column.kind}
            if kinds_of_both == {"boolean", "string"}:
                self._converted[position] = column
            elif len(kinds_of_both) == 2 and not kinds_of_both <= {*_NUMERIC}:
                raise ValueError(
                    f"version {self.version} needs column {column.name!r} of kind"
                    f" {column.kind}, found {found or 'no such column'} in the requests"
                    f" of version {live.version}"
                )
        order = tuple(given.get(item.name, _NOTHING) for item in self.signature.columns)
        is_same = order == tuple(range(len(given))) and not self._converted
        self._order = None if is_same else order

    def values(self, row: Sequence[Value]) -> Sequence[Value]:
        """A row of the live version in the order of this version's signature."""
        if self._order is None:
            return row
        values = [None if at == _NOTHING else row[at] for at in self._order]
        for position, column in self._converted.items():
            values[position] = converted(column, values[position])
        return tuple(values)

    def reordered(self, rows: Sequence[Sequence[Value]]) -> Sequence[Sequence[Value]]:
        """Rows of the live version in the order of this version's signature."""
        return rows if self._order is None else [self.values(row) for row in rows]

    def _columns(
        self, given: Sequence[Sequence[Value]], size: int
    ) -> Sequence[Sequence[Value]]:
        """Columns of the live version in the order of this version's signature."""
        order = self._order or ()
        columns = [[None] * size if at == _NOTHING else given[at] for at in order]
        for position, column in self._converted.items():
            given_ = columns[position]
            columns[position] = [converted(column, value) for value in given_]
        return columns

    def score(self, batch: Batch, request_id: str) -> Scored:
        """Predict a batch under new ids."""
        answers = self.answers(batch)
        ids = self.ids.take(batch.size)
        return Scored(self, request_id, batch, ids, answers)

    def answers(self, batch: Batch) -> list[Any]:
        """The answer to each row: a float, or a list of a float a class.

        Raises
        ------
        Problem
            422 if the estimator cannot take a row.
        ArithmeticError
            If what it gave is no answer of its task.
        """
        try:
            if batch.row is not None:
                row = batch.row if self._order is None else self.values(batch.row)
                answer = self.runtime.predict_one(row)
                return [self.task.checked_one(answer)]
            columns = batch.columns
            if self._order is not None:
                columns = self._columns(columns, batch.size)
            return self.task.checked(self.runtime.predict_many(columns))
        except Refused as error:
            # The estimator's own message may repeat the value.
            raise Problem(422, "invalid-request", _REFUSED) from error


def _opening(model: str, version: str) -> str:
    return f'{{"model":"{model}","version":{version},"request_id":"'
