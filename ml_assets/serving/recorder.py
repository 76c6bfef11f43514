"""What is kept of an answer: its lines in the log, and the work of the shadows."""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from ml_assets.serving.arms import Scored, ServedArm
from ml_assets.serving.batch import Batch
from ml_assets.serving.lines import FailedLine, PredictionLine, encode, now
from ml_assets.serving.log import PredictionLog
from ml_assets.serving.weaving import json_texts, woven


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
        self.log.append(_lines(scored, origin, us).encode(), batch.size)

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


def _lines(scored: Scored, origin: Origin, us: int) -> str:
    """The lines of several rows, as `PredictionLine` has them."""
    size = scored.batch.size
    arms, rows = scored.arms, scored.arm.rows(scored.batch)
    request = f'","time":{now()!r},"request":"{origin.request_id}","model":"'
    generation = origin.generation
    named: str | list[str]
    if arms is None:
        named = _named(scored.arm, generation)
    else:
        own = {arm: _named(arm, generation) for arm in set(arms)}
        named = [own[arm] for arm in arms]
        values = zip(arms, scored.batch.rows, strict=True)
        rows = [arm.values(row) for arm, row in values]
    entities: str | list[str] = "null"
    if origin.entities is not None:
        entities = json_texts(origin.entities)
    ends = [f',"label":{label},"us":{us}}}\n' for label in scored.arm.label_texts]
    return woven(
        size,
        '{"id":"', scored.ids, request, named, entities,
        ',"x":', json_texts(rows), ',"p":', scored.texts,
        [ends[value > 0.5] for value in scored.probabilities],
    )  # fmt: skip


def _named(arm: ServedArm, generation: int) -> str:
    """What an arm's lines say of it."""
    return (
        f'{arm.model}","version":"{arm.version}","arm":"{arm.mode}",'
        f'"generation":{generation},"entity":'
    )
