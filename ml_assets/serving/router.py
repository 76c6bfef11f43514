"""The arms of a loaded plan, and which of them answers a request."""

from typing import NamedTuple

import msgspec

from ml_assets.serving.explain import Batch
from ml_assets.serving.ids import PredictionIds
from ml_assets.serving.plan import Arm, ServingPlan, Signature
from ml_assets.serving.problems import Problem
from ml_assets.serving.request import RowDecoder
from ml_assets.serving.runtime import Refused, Runtime

_REFUSED = "expected values in the range of the model, found one beyond it"


class Scored(NamedTuple):
    """The predictions of one request: one id and one probability per row."""

    arm: "ServedArm"
    request_id: str
    batch: Batch
    ids: list[str]
    probabilities: list[float]

    @property
    def labels(self) -> list[str | int | float | bool]:
        """The predicted class of each row."""
        labels = self.arm.labels
        return [labels[value > 0.5] for value in self.probabilities]


class ServedArm:
    """One version in memory: its runtime, and the decoder of its requests."""

    def __init__(
        self,
        model: str,
        arm: Arm,
        runtime: Runtime,
        max_rows: int,
        ids: PredictionIds,
    ) -> None:
        self.model = model
        self.version = arm.version
        self.mode = arm.mode
        self.runtime = runtime
        self.signature: Signature = runtime.signature
        self.decoder = RowDecoder(self.signature, max_rows)
        # scikit-learn takes the first class, the negative one, at exactly one half.
        self.labels = (self.signature.negative, self.signature.positive)
        self.label_texts = tuple(
            msgspec.json.encode(label).decode() for label in self.labels
        )
        self._ids = ids

    def score(self, batch: Batch, request_id: str) -> Scored:
        """Predict a batch. What is kept of a prediction is taken from the result."""
        try:
            if batch.row is not None:
                lowest = highest = self.runtime.predict_one(batch.row)
                probabilities = [lowest]
            else:
                answers = self.runtime.predict_many(batch.columns)
                lowest, highest = answers.min(), answers.max()
                probabilities = answers.tolist()
        except Refused as error:
            # The estimator's own message may repeat the value.
            raise Problem(422, "invalid-request", _REFUSED) from error
        # A comparison with NaN is false, and NaN is not JSON.
        if not (lowest >= 0.0 and highest <= 1.0):
            raise ArithmeticError(f"version {self.version} gave no probability")
        ids = [self._ids.one()] if batch.size == 1 else self._ids.take(batch.size)
        return Scored(self, request_id, batch, ids, probabilities)


class ServedModel:
    """A plan in memory."""

    def __init__(self, plan: ServingPlan, arms: list[ServedArm]) -> None:
        self.name = plan.model
        self.plan = plan
        self.arms = arms
        self.live = next(arm for arm in arms if arm.mode == "live")
        # An answer takes microseconds and may be given on the event loop.
        self.is_fast = all(arm.runtime.kind == "compiled" for arm in arms)

    def choose(self) -> ServedArm:
        """The arm that answers."""
        return self.live
