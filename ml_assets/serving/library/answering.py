"""How a library process answers whole requests, by what the server would do itself."""

from collections.abc import Callable
from typing import NamedTuple

from ml_assets.records.plan import ServingPlan
from ml_assets.serving.access.callers import Caller, Statuses
from ml_assets.serving.access.keys import Grant
from ml_assets.serving.library.messages import Refusal, Serve, Served, TooLong
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ArmSeries, LongAnswer, ServedModel
from ml_assets.serving.protocols import mlflow, native, open_inference
from ml_assets.serving.requests.messages import Request, Response
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.runtime.protocol import Runtime

# How requests of each protocol are answered, here and in the server.
PROTOCOLS: dict[str, Callable[..., Response]] = {
    "native": native.predict,
    "open-inference": open_inference.infer,
    "mlflow": mlflow.invoke,
}


class _Records:
    """The records of one answer, which the server writes to its log."""

    def __init__(self) -> None:
        self.data = b""
        self.count = 0

    def append(self, data: bytes, records: int) -> None:
        self.data, self.count = data, records


class _Model(NamedTuple):
    """A model of one plan, and what nobody reads here: its counts."""

    served: ServedModel
    series: ArmSeries
    records: _Records
    max_rows: int


class WholeRequests:
    """Answers the requests of models that have one arm."""

    def __init__(self) -> None:
        self._ids = PredictionIds()
        self._models: dict[str, _Model] = {}

    def forget(self, directory: str) -> None:
        """Keep nothing of a bundle that is unloaded."""
        self._models.pop(directory, None)

    def reply(self, asked: Serve, runtime: Runtime) -> Served | Refusal | TooLong:
        """Answer one request.

        Raises
        ------
        ArmError
            If the version failed.
        """
        model, series, records, _ = self._model(asked, runtime)
        model.inline_rows = asked.most_rows
        records.append(b"", 0)
        caller = asked.caller
        request = Request(
            asked.request_id,
            asked.body,
            asked.received,
            asked.entity,
            caller=None if caller is None else _named(caller),
            form=asked.form,
            media=asked.media,
            # The pool waits for it as the event loop does for others: never for long.
            on_loop=True,
            made_id=asked.made_id,
        )
        logged = model if asked.is_logged else model.unlogged()
        try:
            found = PROTOCOLS[asked.protocol](logged, series, request)
        except LongAnswer:
            return TooLong()
        except Problem as problem:
            return Refusal.of(problem)
        return Served(
            found.body,
            found.content_type,
            found.headers,
            found.rows,
            found.unseen,
            records.data,
            records.count,
        )

    def _model(self, asked: Serve, runtime: Runtime) -> _Model:
        """The model as it was asked last, or made anew where its plan is another."""
        found = self._models.get(asked.directory)
        if found and (found.served.plan, found.max_rows) == (
            asked.plan,
            asked.max_rows,
        ):
            return found
        found = self._models[asked.directory] = self._made(
            asked.plan, asked.max_rows, runtime
        )
        return found

    def _made(self, plan: ServingPlan, max_rows: int, runtime: Runtime) -> _Model:
        records = _Records()
        arm = ServedArm(plan.model, plan.live, runtime, max_rows, self._ids)
        served = ServedModel(plan, [arm], Recorder(records))
        return _Model(served, ArmSeries(Metrics(), "", served), records, max_rows)


def _named(id_: str) -> Caller:
    """A caller whose rights were looked at: only its id is of interest."""
    return Caller(id_, [Grant(models=(), routes=())], 0.0, Statuses(int))
