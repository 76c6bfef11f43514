"""What is counted of an answer, for each arm that gave a part of it."""

from collections import Counter

from ml_assets.serving.requests.messages import JSON, Response
from ml_assets.serving.metrics.collector import Metrics, Series
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.models.router import ServedModel


class ArmSeries:
    """The series of one route of a model, one for each arm that answers."""

    def __init__(self, metrics: Metrics, route: str, model: ServedModel) -> None:
        self._of = {
            arm: metrics.series(route, model.name, arm.version, arm.mode)
            for arm in model.answering
        }
        self.live = self._of[model.live]

    def of(self, arm: ServedArm) -> Series:
        """The series of one arm."""
        return self._of[arm]

    def response(self, scored: Scored, body: bytes) -> Response:
        """The answer, which counts for every arm that gave a part of it."""
        first = self._of[scored.arm]
        if scored.arms is None or scored.batch.size == 1:
            return Response(body, 200, JSON, scored.batch.size, first)
        rows = Counter(scored.arms)
        others = tuple(
            (self._of[arm], count)
            for arm, count in rows.items()
            if arm is not scored.arm
        )
        return Response(body, 200, JSON, rows[scored.arm], first, (), others)
