"""A loaded plan: which arm answers a row, what is kept and what is counted of it."""

import copy
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ml_assets.records.assignment import Assignment
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.log.log_records import is_logged
from ml_assets.serving.metrics.collector import Metrics, Series
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.models.recorder import Origin, Recorder
from ml_assets.serving.models.shadow import Job, ShadowQueue
from ml_assets.serving.requests.batch import Batch, UnseenCategory, of_rows
from ml_assets.serving.requests.entities import entities_of
from ml_assets.serving.requests.held_records import Log
from ml_assets.serving.requests.messages import JSON, Request, Response
from ml_assets.serving.requests.problems import Problem, VersionFault

__all__ = ["ArmError", "ArmSeries", "LongAnswer", "Scored", "ServedArm", "ServedModel"]


# The route that smoke requests count as, whichever they ask.
SMOKE = "smoke"


class ArmError(Exception):
    """An arm failed to predict; the cause is the reason."""

    def __init__(self, arm: ServedArm) -> None:
        super().__init__(f"version {arm.version} of {arm.model} failed")
        self.arm = arm


class LongAnswer(Exception):
    """The event loop must not wait for the answer; nothing was done for it."""


class ServedModel:
    """A plan in memory.

    Parameters
    ----------
    plan
        The plan.
    arms
        Its arms, loaded, in the same order.
    recorder
        Keeps what is answered; None keeps nothing.
    shadows
        Where batches wait for the shadow arms; None where there are none.

    Raises
    ------
    ValueError
        If an arm cannot take the requests of the live one, or the shares are wrong.
    """

    def __init__(
        self,
        plan: ServingPlan,
        arms: list[ServedArm],
        recorder: Recorder | None = None,
        shadows: ShadowQueue | None = None,
    ) -> None:
        self.name = plan.model
        self.plan = plan
        self.arms = arms
        self.live = next(arm for arm in arms if arm.mode == "live")
        self.answering = [arm for arm in arms if arm.mode != "shadow"]
        for arm in arms:
            if arm is not self.live:
                arm.read_like(self.live)
        # What the event loop waits for; as measured at loading, and not by the runtime.
        self.inline_rows = min(arm.inline_rows for arm in self.answering)
        self.inline_bytes = min(arm.inline_bytes for arm in self.answering)
        self._shadow_arms = [arm for arm in arms if arm.mode == "shadow"]
        self._shadows = shadows if self._shadow_arms else None
        self._recorder = recorder
        self._assignment: Assignment | None = None
        if len(self.answering) > 1:
            self._assignment = Assignment(plan.salt, _shares(self.answering))

    @property
    def is_split(self) -> bool:
        """Whether rows may go to several arms."""
        return self._assignment is not None

    @property
    def log(self) -> Log | None:
        """Where its predictions are kept, if anywhere."""
        return None if self._recorder is None else self._recorder.log

    def unlogged(self) -> "ServedModel":
        """The same, whose predictions are not kept, and not seen by shadows."""
        found = copy.copy(self)
        found._recorder = None
        return found

    def answer(
        self, batch: Batch, request: Request, only: ServedArm | None = None
    ) -> Scored:
        """Predict a batch, and log the predictions before they are sent.

        If `only` is given, it answers instead of the arm that the plan chooses. Such
        predictions are not logged while a plan splits the traffic: the arms would be
        compared on requests that were not assigned to them by chance.

        Raises
        ------
        Problem
            422 if the request names its entities in two ways, or an arm refuses a row.
        ArmError
            If an arm failed, of which records are kept as well.
        LongAnswer
            If the request is on the event loop, and has more rows than it may wait for.
        """
        if request.on_loop and batch.size > self.inline_rows:
            raise LongAnswer
        decoded = perf_counter() - request.received if self._shadows else 0.0
        ids = [request.request_id] if request.made_id else []
        if len(ids) < batch.size:
            ids += self.live.ids.take(batch.size - len(ids))
        entities, caller = batch.entities, request.caller
        if request.entity is not None:
            entities = entities_of(batch, request.entity)
        origin = Origin(
            request.request_id,
            self.plan.generation,
            request.received,
            ids,
            entities,
            UNSET if caller is None else caller.id,
            # The shadows' records come behind those of the answer.
            None if self._shadows else request.held,
        )
        arms = None
        if self._assignment and not only:
            arms = self._arms(self._assignment, ids, entities)
        recorder = None if only and self.is_split else self._recorder
        sample = self.plan.log_sample
        if recorder and sample < 1 and not is_logged(ids[0], sample):
            recorder = None
        default = only or self.live
        try:
            if request.fault is not None:
                raise ArmError(default) from request.fault
            if arms is None:
                answers = _predict(default, batch)
            else:
                answers = self._answers(batch, arms)
        except ArmError as error:
            if recorder:
                _keep_failure(recorder, error, batch, origin, arms)
            raise
        scored = Scored(
            arms[0] if arms else default,
            request.request_id,
            batch,
            ids,
            answers,
            arms,
        )
        if recorder:
            recorder.keep(scored, origin)
            if self._shadows:
                for arm in self._shadow_arms:
                    self._shadows.put(
                        Job(arm, batch, origin, decoded, recorder, len(request.body))
                    )
        return scored

    def _arms(
        self,
        assignment: Assignment,
        ids: Sequence[str],
        entities: Sequence[str | None] | None,
    ) -> list[ServedArm]:
        """The arm of each row."""
        arm_of, answering = assignment.arm_of, self.answering
        if entities is None:
            return [answering[arm_of(id_)] for id_ in ids]
        return [
            answering[arm_of(id_ if entity is None else entity)]
            for id_, entity in zip(ids, entities, strict=True)
        ]

    def _answers(self, batch: Batch, arms: Sequence[ServedArm]) -> list[Any]:
        """The answer to each row, by the arm that it goes to."""
        if batch.size == 1:
            return _predict(arms[0], batch)
        found: list[Any] = [None] * batch.size
        for arm in self.answering:
            rows = [row for row, chosen in enumerate(arms) if chosen is arm]
            if rows:
                answers = _predict(arm, _part(batch, rows))
                for row, answer in zip(rows, answers, strict=True):
                    found[row] = answer
        return found


class ArmSeries:
    """The series of one route of a model, one for each arm that answers."""

    def __init__(self, metrics: Metrics, route: str, model: ServedModel) -> None:
        self._of = {
            arm: metrics.series(route, model.name, arm.version, arm.mode)
            for arm in model.answering
        }
        self.live = self._of[model.live]
        self._counts_unseen = route != SMOKE
        columns = model.live.signature.columns
        opened = [item.name for item in columns if item.open and item.categories]
        self._unseen = metrics.unseen(model.name)
        self._unseen.begin(opened)

    def of(self, arm: ServedArm) -> Series:
        """The series of one arm."""
        return self._of[arm]

    def count_unseen(self, unseen: Sequence[UnseenCategory]) -> None:
        """Count the categories of a request that training did not see."""
        if self._counts_unseen:
            self._unseen.add(unseen)

    def response(
        self,
        scored: Scored,
        body: bytes,
        content_type: bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Response:
        """The answer, which counts for every arm that gave a part of it."""
        first = self._of[scored.arm]
        unseen = scored.batch.unseen
        if unseen:
            self.count_unseen(unseen)
        if scored.arms is None or scored.batch.size == 1:
            size = scored.batch.size
            return Response(body, 200, content_type, size, first, headers, (), unseen)
        sizes = Counter(scored.arms)
        others = tuple(
            (self._of[arm], count)
            for arm, count in sizes.items()
            if arm is not scored.arm
        )
        count = sizes[scored.arm]
        return Response(body, 200, content_type, count, first, headers, others)


def _shares(arms: Sequence[ServedArm]) -> list[float]:
    """The share of each answering arm; the live one gets what the others leave."""
    others = sum(arm.share for arm in arms if arm.mode != "live")
    return [1 - others if arm.mode == "live" else arm.share for arm in arms]


def _predict(arm: ServedArm, batch: Batch) -> list[Any]:
    try:
        return arm.answers(batch)
    except VersionFault as error:
        raise ArmError(arm) from error
    except Problem:
        raise
    except Exception as error:
        raise ArmError(arm) from error


def _part(batch: Batch, rows: Sequence[int]) -> Batch:
    """The batch of some rows, given by their numbers."""
    values = batch.rows
    return of_rows([values[row] for row in rows])


def _keep_failure(
    recorder: Recorder,
    error: ArmError,
    batch: Batch,
    origin: Origin,
    arms: Sequence[ServedArm] | None,
) -> None:
    """Log the rows that the arm failed on."""
    rows = [row for row in range(batch.size) if arms is None or arms[row] is error.arm]
    ids, entities = origin.ids, origin.entities
    part = replace(
        origin,
        ids=[ids[row] for row in rows],
        entities=entities and [entities[row] for row in rows],
    )
    cause = error.__cause__ or error
    seconds = perf_counter() - origin.received
    recorder.failed(error.arm, _part(batch, rows), part, cause, seconds)
