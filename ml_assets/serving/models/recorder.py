"""What is kept of an answer: its records in the prediction log."""

from collections.abc import Sequence
from time import perf_counter

import msgspec

from ml_assets.serving.log.log_records import (
    AnswerRecord,
    Caller,
    FailureRecord,
    encode,
    now,
)
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.requests.batch import Batch, Value
from ml_assets.serving.requests.held_records import HeldRecords, Log


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where predictions come from: their request, ids, entities, and who asked.

    ``received`` is the `time.perf_counter` of the request's headers, and ``held`` takes
    the records until their answer leaves; None where they are written at once.
    """

    request_id: str
    generation: int
    received: float
    ids: Sequence[str]
    entities: Sequence[str | None] | None
    caller: Caller = msgspec.UNSET
    held: HeldRecords | None = None


class Recorder:
    """Keeps the predictions of one model."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def keep(self, scored: Scored, origin: Origin) -> None:
        """Write the records of one answer, or have them held."""
        us = round(1e6 * (perf_counter() - origin.received))
        arm, batch = scored.arm, scored.batch
        if batch.row is not None:
            head = (
                scored.ids[0],
                now(),
                origin.request_id,
                arm.model,
                arm.version,
                arm.mode,
                origin.generation,
                origin.entities[0] if origin.entities else None,
                origin.caller,
                arm.values(batch.row),
            )
            record = arm.task.record(head, scored.answers[0], us)
            self._append(encode((record,)), 1, origin.held)
            return
        if scored.arms is None:
            answers = [_answer(arm, scored, origin, us, None)]
        else:
            answers = [
                _answer(arm, scored, origin, us, rows)
                for arm, rows in _rows_by_arm(scored.arms).items()
            ]
        self._append(encode(answers), batch.size, origin.held)

    def failed(
        self,
        arm: ServedArm,
        batch: Batch,
        origin: Origin,
        error: BaseException,
        seconds: float,
    ) -> None:
        """Write that `arm` could not predict a batch, whose ids `origin` gives."""
        rows = arm.reordered(batch.rows)
        records = [
            FailureRecord(
                id_,
                now(),
                origin.request_id,
                arm.model,
                arm.version,
                arm.mode,
                origin.generation,
                origin.entities[index] if origin.entities else None,
                origin.caller,
                row,
                None,
                None,
                round(1e6 * seconds),
                type(error).__name__,
            )
            for index, (id_, row) in enumerate(zip(origin.ids, rows, strict=True))
        ]
        self._append(encode(records), len(records), origin.held)

    def _append(self, data: bytes, records: int, held: HeldRecords | None) -> None:
        if held is None:
            self.log.append(data, records)
        else:
            held.add(self.log, data, records)


def _rows_by_arm(arms: Sequence[ServedArm]) -> dict[ServedArm, list[int]]:
    """The numbers of the rows that each arm answered."""
    found: dict[ServedArm, list[int]] = {}
    for row, arm in enumerate(arms):
        found.setdefault(arm, []).append(row)
    return found


def _answer(
    arm: ServedArm,
    scored: Scored,
    origin: Origin,
    us: int,
    chosen: Sequence[int] | None,
) -> AnswerRecord:
    """The record of an arm for the rows `chosen` by number; None for all of them."""
    batch, ids, entities = scored.batch, scored.ids, origin.entities
    texts, columns = scored.texts, None
    x: msgspec.Raw | Sequence[Sequence[Value]]
    if chosen is None and batch.text is not None:
        # Half of the time of writing the values again.
        columns, x = arm.decoder.names, msgspec.Raw(batch.text)
    elif chosen is None:
        x = arm.reordered(batch.rows)
    else:
        rows = batch.rows
        x = arm.reordered([rows[row] for row in chosen])
        ids = [ids[row] for row in chosen]
        entities = entities and [entities[row] for row in chosen]
        texts = [texts[row] for row in chosen]
    head = (
        ids,
        now(),
        origin.request_id,
        arm.model,
        arm.version,
        arm.mode,
        origin.generation,
        entities,
        origin.caller,
        columns,
        x,
    )
    return arm.task.records(head, msgspec.Raw(f"[{','.join(texts)}]".encode()), us)
