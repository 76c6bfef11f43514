"""Live predictions: held-out rows asked of the running server, and what came back."""

import statistics
import time
from typing import Any, NamedTuple

import msgspec

from ml_assets.cli.client import Answer, ServerClient
from ml_assets.cli.output import Failed
from ml_assets.cli.scorers import PlanScorer
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions

SHOWN = 5
REQUESTS = 500


class Shown(NamedTuple):
    """One live answer beside what is true."""

    label: str
    probability: float
    truth: str
    id: str


class Live(NamedTuple):
    """What the live requests gave."""

    shown: list[Shown]
    rows: int
    right: int
    median_ms: float


def ask(client: ServerClient, spec: ModelSpec, plan: ServingPlan) -> Live:
    """Ask for every held-out row, compare with this process, and time single rows.

    Raises
    ------
    Failed
        If an answer is refused, comes from another version, or differs in one digit
        from what the same version answers in this process.
    """
    path = f"/models/{spec.name}"
    described = _answer(client.get(path))
    rows, truths = _held_out(
        spec, plan, [item["name"] for item in described["columns"]]
    )
    body = msgspec.json.encode({"rows": rows})
    answer = _answer(client.post(f"{path}/predict", body))
    if answer["version"] != plan.live.version:
        raise Failed(
            f"the server answers with version {answer['version']},"
            f" expected {plan.live.version}"
        )
    predictions = answer["predictions"]
    local = PlanScorer.of_plan(spec.name, len(rows)).score(body)
    if [p["probability"] for p in predictions] != [p.probability for p in local]:
        raise Failed("the server's answers differ from those of the same version here")
    shown = [
        Shown(str(p["label"]), p["probability"], truth, p["id"])
        for p, truth in zip(predictions, truths, strict=True)
    ]
    return Live(
        shown[:SHOWN],
        len(rows),
        sum(item.label == item.truth for item in shown),
        _median_ms(client, f"{path}/predict", rows),
    )


def _answer(answer: Answer) -> Any:
    if answer.status != 200:
        raise Failed(f"the model server answered {answer.status}: {answer.value}")
    return answer.value


def _held_out(
    spec: ModelSpec, plan: ServingPlan, columns: list[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The held-out rows as a client would send them, and their true labels."""
    record = Versions().get(spec.name, plan.live.version)
    table = Tables().read(spec.name, "features", record.features_version)
    rows = table[table[HELD_OUT].to_numpy()]
    truths = rows[spec.target].astype(str).tolist()
    values = zip(*(rows[name].tolist() for name in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values], truths


def _median_ms(client: ServerClient, path: str, rows: list[dict[str, Any]]) -> float:
    """Median time of requests of one row, one after the other, that are not logged."""
    bodies = [msgspec.json.encode({"rows": [row]}) for row in rows]
    times = []
    for number in range(REQUESTS):
        started = time.perf_counter()
        _answer(client.post(path, bodies[number % len(bodies)], is_smoke=True))
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1_000
