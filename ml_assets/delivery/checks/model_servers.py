"""Every model server answers by its own schema, and within the bound."""

import math
import time
from typing import Any

import requests

from ml_assets.core.api_key import SMOKE, SMOKE_HEADER, credentials
from ml_assets.delivery.checks import CheckContext, CheckResult

CONTRACT, LATENCY = "model_contract", "latency"
WARM_UP, REQUESTS = 20, 200
TIMEOUT = (5.0, 10.0)
SAMPLES = {"number": 1.5, "integer": 1, "boolean": True, "string": "text"}


class ContractError(Exception):
    """A model server does not answer by the schema that it publishes."""


def check(context: CheckContext) -> list[CheckResult]:
    """Ask each model for predictions; a row is made from its columns."""
    slowest: dict[str, float] = {}
    logged: list[str] = []
    with requests.Session() as session:
        session.headers.update(credentials() | SMOKE)
        for model, deployment in context.models.items():
            url = context.settings.models.format(model=model, deployment=deployment)
            try:
                slowest[model], is_logged = _ask(session, f"{url}/models/{model}")
                logged += [model] if is_logged else []
            except ContractError as error:
                return [CheckResult(CONTRACT, False, f"{model}: {error}")]
            except requests.RequestException as error:
                reason = f"{url} cannot be asked: {type(error).__name__}"
                return [CheckResult(CONTRACT, False, f"{model}: {reason}")]
    bound = context.settings.p99_ms
    late = {name: value for name, value in slowest.items() if value > bound}
    listed = ", ".join(f"{name} {value:.1f} ms" for name, value in slowest.items())
    sentence = f"p99 of {REQUESTS} requests: {listed or 'no model'}; bound {bound:g} ms"
    contract = f"{len(slowest)} model(s) answer by their schema"
    if logged:
        contract += (
            f"; the requests were logged as any caller's by {', '.join(logged)}:"
            " the API key lacks the route smoke, or the server is of an older release"
        )
    return [
        CheckResult(CONTRACT, True, contract, {"models": sorted(slowest)}),
        CheckResult(
            LATENCY, not late, sentence, {"p99_ms": slowest, "bound_ms": bound}
        ),
    ]


def _ask(session: requests.Session, url: str) -> tuple[float, bool]:
    """The 99th percentile of the times of answers, in ms; whether any was logged."""
    description = _json(session.get(url, timeout=TIMEOUT))
    body = {"rows": [_row(description)]}
    seconds: list[float] = []
    is_logged = False
    for _ in range(WARM_UP + REQUESTS):
        began = time.perf_counter()
        response = session.post(f"{url}/predict", json=body, timeout=TIMEOUT)
        answer = _json(response)
        seconds.append(time.perf_counter() - began)
        is_logged = is_logged or SMOKE_HEADER not in response.headers
        _check_answer(answer, description)
    return percentile(seconds[WARM_UP:], 99) * 1000.0, is_logged


def _row(description: dict[str, Any]) -> dict[str, Any]:
    """A row that the model must take, by the columns that it publishes."""
    try:
        return {
            column["name"]: _sample(column)
            for column in description["columns"]
            if not column.get("ignored")
        }
    except (KeyError, TypeError) as error:
        raise ContractError(f"its description has no usable columns: {error}") from None


def _sample(column: dict[str, Any]) -> Any:
    """A value that the column takes: its own example, which older servers lack."""
    example = column.get("example")
    if example is not None:
        return example
    return (column.get("categories") or [SAMPLES[column["kind"]]])[0]


def _check_answer(answer: dict[str, Any], description: dict[str, Any]) -> None:
    predictions = answer.get("predictions")
    if not isinstance(predictions, list) or len(predictions) != 1:
        raise ContractError(f"one row got {predictions!r}, expected one prediction")
    found = predictions[0]
    if description.get("task") == "regression":
        value = found.get("value")
        if not isinstance(value, float | int) or not math.isfinite(value):
            raise ContractError(f"the value is {value!r}, expected a finite number")
    else:
        _check_class(found, description)
    if not found.get("id"):
        raise ContractError("the prediction has no id")


def _check_class(found: dict[str, Any], description: dict[str, Any]) -> None:
    probability, label = found.get("probability"), found.get("label")
    if not isinstance(probability, float | int) or not 0.0 <= probability <= 1.0:
        raise ContractError(f"the probability is {probability!r}, expected 0 to 1")
    # Servers of an older release, which had two classes, name no list of them.
    labels = description.get("classes") or [
        description["negative"],
        description["positive"],
    ]
    if label not in labels:
        raise ContractError(f"the label is {label!r}, expected one of {labels}")


def _json(response: requests.Response) -> dict[str, Any]:
    if not response.ok:
        raise ContractError(
            f"{response.url} answered {response.status_code}: {response.text[:300]}"
        )
    try:
        found = response.json()
    except requests.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ContractError(f"{response.url} answered {response.text[:100]!r}, no JSON")
    return found


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed.

    Examples
    --------
    >>> percentile([float(value) for value in range(1, 201)], 99)
    198.0
    """
    rank = math.ceil(len(values) * percent / 100.0)
    return sorted(values)[max(rank, 1) - 1]
