"""Scoring for `ml-assets predict`: by the active plan in this process, or a server."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from ml_assets.cli.client import Answer, ServerClient
from ml_assets.cli.output import Failed
from ml_assets.cli.rows import Row
from ml_assets.core.decoding import from_builtins
from ml_assets.core.storage import storage
from ml_assets.records.plan import Arm, Column, Kind, Label, Task
from ml_assets.serving.requests.problems import FieldError, Problem
from ml_assets.state.plans import Plans

if TYPE_CHECKING:
    from ml_assets.serving.models.arms import Scored, ServedArm

# What a refusal finds in a column that the model does not take.
UNKNOWN = "an unknown column"


class Prediction(NamedTuple):
    """The answer to one row.

    A regression gives the ``value`` alone, or with ``lower`` and ``upper``, its
    interval; ``probabilities`` are those of several
    classes by their names.
    """

    id: str
    probability: float | None = None
    label: Label | None = None
    probabilities: dict[str, float] | None = None
    value: float | None = None
    lower: float | None = None
    upper: float | None = None


class Refusal(Exception):
    """Rows that do not fit the model; `errors` count rows from 0 within the request."""

    def __init__(self, detail: str, errors: list[FieldError]) -> None:
        super().__init__(detail)
        self.errors = errors


Outcome = Prediction | Refusal


class Scorer(Protocol):
    """Scores request bodies with one version.

    `has_interval` is whether each value has the ends of an interval beside it.
    `unseen` counts by column the rows whose category training did not see.
    """

    model: str
    version: str
    columns: tuple[Column, ...]
    task: Task
    has_interval: bool
    unseen: Counter[str]

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        ...


class PlanScorer:
    """Answers from the active plan, loaded and verified as a server does it."""

    def __init__(self, plan_arm: Arm, arm: "ServedArm") -> None:
        self.plan_arm = plan_arm
        self.arm = arm
        signature = arm.signature
        self.model, self.version = arm.model, arm.version
        self.columns, self.task = signature.columns, signature.task
        self.has_interval = signature.interval is not None
        self.unseen: Counter[str] = Counter()

    @classmethod
    def of_plan(cls, model: str, max_rows: int) -> "PlanScorer":
        """The scorer of the active plan's live version.

        Raises
        ------
        Failed
            If there is no plan, or the version cannot be loaded.
        """
        plan = Plans().current(model)
        if plan is None:
            raise Failed(
                f"{model} has no version in service; train and deploy one:"
                f" ml-assets train {model} && ml-assets deploy {model}"
            )
        return cls(plan.live, load_arm(model, plan.live, max_rows))

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        from ml_assets.serving.runtime import Refused

        try:
            scored = self.arm.score(self.arm.decoder.decode(body), "")
        except Problem as problem:
            raise Refusal(problem.detail, problem.errors) from problem
        except Refused as error:
            raise Refusal(str(error), []) from error
        for item in scored.batch.unseen:
            self.unseen[item.column] += len(item.rows)
        return [Prediction(*row) for row in zip(scored.ids, *_fields(scored))]


def load_arm(model: str, arm: Arm, max_rows: int) -> "ServedArm":
    """A version, verified and loaded as a server does it.

    Raises
    ------
    Failed
        If it cannot be loaded.
    """
    from ml_assets.core.digests import BundleError
    from ml_assets.serving.models.arms import ServedArm
    from ml_assets.serving.models.bundle import load_runtime
    from ml_assets.serving.models.bundle_cache import fetch
    from ml_assets.serving.models.ids import PredictionIds

    try:
        runtime = load_runtime(fetch(storage(), arm), arm.files)
    except BundleError as error:
        raise Failed(
            f"version {arm.version} of {model} cannot be loaded: {error}"
        ) from error
    return ServedArm(model, arm, runtime, max_rows, PredictionIds())


class ServerScorer:
    """Answers from a model server."""

    def __init__(self, client: ServerClient, model: str) -> None:
        self._client = client
        found = _value(client.get(f"/models/{model}"))
        self.model, self.version = model, str(found["version"])
        self.columns = tuple(_column(item) for item in found["columns"])
        self.task = from_builtins(found.get("task", "binary"), Task)
        self.has_interval = found.get("interval") is not None
        self.unseen: Counter[str] = Counter()

    def score(self, body: bytes) -> list[Prediction]:
        """Predict, or raise `Refusal`."""
        answer = _value(self._client.post(f"/models/{self.model}/predict", body))
        self.version = str(answer["version"])
        for item in answer.get("warnings", []):
            self.unseen[item["column"]] += len(item["rows"])
        names = Prediction._fields
        return [
            Prediction(**{name: item[name] for name in names if name in item})
            for item in answer["predictions"]
        ]


def _fields(scored: "Scored") -> Iterator[Iterable[Any]]:
    """What the fields of a prediction after its id are for each row."""
    task, answers = scored.task, scored.answers
    columns = task.columns(answers)
    if "probabilities" in columns:
        columns["probabilities"] = task.named(answers)
    for name in Prediction._fields[1:]:
        yield columns.get(name, repeat(None))


def _value(answer: Answer) -> Any:
    if answer.status == 200:
        return answer.value
    problem = answer.value if isinstance(answer.value, dict) else {}
    detail = str(problem.get("detail") or f"status {answer.status}")
    if answer.status in (413, 422):
        found = problem.get("errors", [])
        raise Refusal(detail, from_builtins(found, list[FieldError]))
    raise Failed(f"the model server says: {detail}")


def _column(item: dict[str, Any]) -> Column:
    categories = item.get("categories")
    return Column(
        name=item["name"],
        kind=from_builtins(item["kind"], Kind),
        nullable=item["nullable"],
        categories=None if categories is None else tuple(categories),
    )


def outcomes(scorer: Scorer, rows: Sequence[Row]) -> list[Outcome]:
    """The outcome of each row, whatever the others are.

    A refusal names some of the rows that do not fit, and the request as a whole is not
    answered: those that it names are left out and the rest is asked for again; where it
    names none, the rows are halved until it is clear which one is meant.
    """
    found: dict[int, Outcome] = {}
    waiting = [[*range(len(rows))]]
    while waiting:
        group = waiting.pop()
        if not group:
            continue
        body = msgspec.json.encode({"rows": [rows[number] for number in group]})
        try:
            found.update(zip(group, scorer.score(body), strict=True))
        except Refusal as refusal:
            named = _by_row(refusal) if len(group) > 1 else {0: refusal.errors}
            for n, errors in named.items():
                found[group[n]] = Refusal(str(refusal), errors)
            rest = [number for n, number in enumerate(group) if n not in named]
            half = 0 if named else len(group) // 2
            waiting += [rest[half:], rest[:half]]
    return [found[number] for number in range(len(rows))]


def _by_row(refusal: Refusal) -> dict[int, list[FieldError]]:
    named: dict[int, list[FieldError]] = {}
    for error in refusal.errors:
        if error.row is not None:
            named.setdefault(error.row, []).append(error)
    return named


def unseen_notes(scorer: Scorer) -> list[str]:
    """How many rows of each column hold what training did not see, in sentences."""
    return [
        f"column '{name}': {rows:,} rows hold a category that training did not see,"
        " which is taken as unknown"
        for name, rows in scorer.unseen.items()
    ]


def reason(refusal: Refusal) -> str:
    """Why one row is refused, without its number."""
    errors = [msgspec.structs.replace(error, row=None) for error in refusal.errors]
    return "; ".join(dict.fromkeys(map(str, errors))) or str(refusal)


def explanation(refusal: Refusal, done: int) -> str:
    """What is wrong where, with rows counted from 1 over the whole file."""
    if not refusal.errors:
        return f"rows from {done + 1:,} on are refused: {refusal}"
    # The same fault of each row is named once, at its first row.
    first: dict[tuple[str | None, str, str], FieldError] = {}
    for error in refusal.errors:
        first.setdefault((error.column, error.expected, error.found), error)
    lines = [str(_counted(error, done)) for error in first.values()]
    if any(error.found == UNKNOWN for error in refusal.errors):
        lines.append("leave out what the model does not take: --ignore-unknown")
    return "\n  ".join(["the rows do not fit the model:", *lines])


def _counted(error: FieldError, done: int) -> FieldError:
    if error.row is None:
        return error
    return msgspec.structs.replace(error, row=error.row + done + 1)
