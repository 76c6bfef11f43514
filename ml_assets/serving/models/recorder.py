"""What is kept of an answer: its lines in the log, and the work of the shadows."""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import msgspec

from ml_assets.serving.log.prediction_log import PredictionLog
from ml_assets.serving.log.log_records import (
    AnswerLine,
    FailedLine,
    PredictionLine,
    encode,
    now,
)
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.requests.batch import Batch, Value


class Origin(NamedTuple):
    """Where predictions come from: their request, ids and entities.

    ``received`` is the `time.perf_counter` of the request's headers.
    """

    request_id: str
    generation: int
    received: float
    ids: Sequence[str]
    entities: Sequence[str | None] | None


class Recorder:
    """Keeps the predictions of one model."""

    def __init__(self, log: PredictionLog) -> None:
        self.log = log

    def keep(self, scored: Scored, origin: Origin) -> None:
        """Write the lines of one answer."""
        us = round(1e6 * (perf_counter() - origin.received))
        arm, batch = scored.arm, scored.batch
        if batch.row is not None:
            line = PredictionLine(
                scored.ids[0],
                now(),
                origin.request_id,
                arm.model,
                arm.version,
                arm.mode,
                origin.generation,
                origin.entities[0] if origin.entities else None,
                arm.values(batch.row),
                scored.probabilities[0],
                arm.labels[scored.probabilities[0] > 0.5],
                us,
            )
            self.log.append(encode((line,)), 1)
            return
        if scored.arms is None:
            answers = [_answer(arm, scored, origin, us, None)]
        else:
            answers = [
                _answer(arm, scored, origin, us, places)
                for arm, places in _places(scored.arms).items()
            ]
        self.log.append(encode(answers), batch.size)

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
        lines = [
            FailedLine(
                id_,
                now(),
                origin.request_id,
                arm.model,
                arm.version,
                arm.mode,
                origin.generation,
                origin.entities[index] if origin.entities else None,
                row,
                None,
                None,
                round(1e6 * seconds),
                type(error).__name__,
            )
            for index, (id_, row) in enumerate(zip(origin.ids, rows, strict=True))
        ]
        self.log.append(encode(lines), len(lines))


def _places(arms: Sequence[ServedArm]) -> dict[ServedArm, list[int]]:
    """The rows that each arm answered."""
    found: dict[ServedArm, list[int]] = {}
    for place, arm in enumerate(arms):
        found.setdefault(arm, []).append(place)
    return found


def _answer(
    arm: ServedArm,
    scored: Scored,
    origin: Origin,
    us: int,
    places: Sequence[int] | None,
) -> AnswerLine:
    """The line of an arm for the rows at `places`; None for all of them."""
    batch, ids, entities = scored.batch, scored.ids, origin.entities
    texts, columns = scored.texts, None
    x: msgspec.Raw | Sequence[Sequence[Value]]
    if places is None and batch.text is not None:
        # Half of the time of writing the values again.
        columns, x = arm.decoder.names, msgspec.Raw(batch.text)
    elif places is None:
        x = arm.reordered(batch.rows)
    else:
        rows = batch.rows
        x = arm.reordered([rows[place] for place in places])
        ids = [ids[place] for place in places]
        entities = entities and [entities[place] for place in places]
        texts = [texts[place] for place in places]
    return AnswerLine(
        ids,
        now(),
        origin.request_id,
        arm.model,
        arm.version,
        arm.mode,
        origin.generation,
        entities,
        columns,
        x,
        msgspec.Raw(f"[{','.join(texts)}]".encode()),
        arm.labels,
        us,
    )
