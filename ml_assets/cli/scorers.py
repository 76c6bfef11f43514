"""What answers `ml-assets predict`: the active plan in this process, or a server."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from ml_assets.cli.client import Answer, ServerClient
from ml_assets.cli.output import Failed
from ml_assets.records.plan import Column, Kind
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.serving.requests.problems import FieldError, Problem


class Prediction(NamedTuple):
    """The answer to one row."""

    id: str
    probability: float
    label: str | int | float | bool


class Refusal(Exception):
    """Rows that do not fit the model; `errors` count rows from 0 within the request."""

    def __init__(self, detail: str, errors: list[FieldError]) -> None:
        super().__init__(detail)
        self.errors = errors


class Scorer(Protocol):
    """Scores request bodies with one version."""

    model: str
    version: str
    columns: tuple[Column, ...]

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        ...


class PlanScorer:
    """Answers from the active plan, loaded and verified as a server does it."""

    def __init__(self, root: Path, model: str, max_rows: int) -> None:
        from ml_assets.core.digests import BundleError
        from ml_assets.serving.models.arms import ServedArm
        from ml_assets.serving.models.bundle import load_runtime
        from ml_assets.serving.models.ids import PredictionIds

        plan = PlanStore(root).current(model)
        if plan is None:
            raise Failed(
                f"{model} has no version in service; train and deploy one:"
                f" ml-assets train {model} && ml-assets deploy {model}"
            )
        try:
            runtime = load_runtime(root / plan.live.bundle, plan.live.files)
        except BundleError as error:
            raise Failed(
                f"version {plan.live.version} of {model} cannot be loaded: {error}"
            ) from error
        self._arm = ServedArm(model, plan.live, runtime, max_rows, PredictionIds())
        self.model, self.version = model, plan.live.version
        self.columns = runtime.signature.columns

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        from ml_assets.serving.runtime import Refused

        try:
            scored = self._arm.score(self._arm.decoder.decode(body), "")
        except Problem as problem:
            raise Refusal(problem.detail, problem.errors) from problem
        except Refused as error:
            raise Refusal(str(error), []) from error
        answers = zip(scored.ids, scored.probabilities, scored.labels, strict=True)
        return [Prediction(*answer) for answer in answers]


class ServerScorer:
    """Answers from a model server."""

    def __init__(self, client: ServerClient, model: str) -> None:
        self._client = client
        found = _value(client.get(f"/models/{model}"))
        self.model, self.version = model, str(found["version"])
        self.columns = tuple(_column(item) for item in found["columns"])

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        answer = _value(self._client.post(f"/models/{self.model}/predict", body))
        self.version = str(answer["version"])
        return [
            Prediction(item["id"], item["probability"], item["label"])
            for item in answer["predictions"]
        ]


def _value(answer: Answer) -> Any:
    if answer.status == 200:
        return answer.value
    problem = answer.value if isinstance(answer.value, dict) else {}
    detail = str(problem.get("detail") or f"status {answer.status}")
    if answer.status in (413, 422):
        found = problem.get("errors", [])
        raise Refusal(detail, msgspec.convert(found, list[FieldError]))
    raise Failed(f"the model server says: {detail}")


def _column(item: dict[str, Any]) -> Column:
    categories = item.get("categories")
    return Column(
        name=item["name"],
        kind=msgspec.convert(item["kind"], Kind),
        nullable=item["nullable"],
        categories=None if categories is None else tuple(categories),
    )
