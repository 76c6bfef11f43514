"""What is kept of an answer: its lines in the log, and the work of the shadows."""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from ml_assets.serving.arms import Scored, ServedArm
from ml_assets.serving.batch import Batch
from ml_assets.serving.lines import FailedLine, PredictionLine, encode, now
from ml_assets.serving.log import PredictionLog


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
        self.log.append(encode(_lines(scored, origin, us)), batch.size)

    def failed(
        self,
        arm: ServedArm,
        batch: Batch,
        origin: Origin,
        error: BaseException,
        seconds: float,
    ) -> None:
        """Write that `arm` could not predict a batch, whose ids `origin` gives."""
        rows = arm.rows(batch)
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


def _lines(scored: Scored, origin: Origin, us: int) -> list[PredictionLine]:
    """The lines of several rows."""
    size = scored.batch.size
    time, labels = now(), scored.arm.labels
    request_id, generation = origin.request_id, origin.generation
    arms = scored.arms or [scored.arm] * size
    rows = scored.arm.rows(scored.batch)
    if scored.arms is not None:
        values = zip(arms, scored.batch.rows, strict=True)
        rows = [arm.values(row) for arm, row in values]
    return [
        PredictionLine(
            id_,
            time,
            request_id,
            arm.model,
            arm.version,
            arm.mode,
            generation,
            entity,
            row,
            probability,
            labels[probability > 0.5],
            us,
        )
        for id_, arm, entity, row, probability in zip(
            scored.ids,
            arms,
            origin.entities or [None] * size,
            rows,
            scored.probabilities,
            strict=True,
        )
    ]
