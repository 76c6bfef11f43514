"""``GET /predictions/{id}``: an answer that was given, and what it was given for."""

from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.records.plan import Signature
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.requests.messages import Response, json_response
from ml_assets.serving.requests.problems import Problem


def find(home: Path, storage: Path, prediction_id: str) -> Response:
    """The prediction, from this machine's segments or from the storage.

    Raises
    ------
    Problem
        404 if there is no such prediction, with the reason.
    """
    # Reads Parquet where the prediction is old, with a library that takes a while.
    from ml_assets.prediction_log import lookup as loglookup

    try:
        logged = loglookup.find(home, storage, prediction_id)
    except (ValueError, OverflowError):
        detail = "expected the id of a prediction, which is a UUID of version 7"
        raise Problem(404, "unknown-prediction", detail) from None
    if logged is None:
        detail = (
            "no log has this prediction: it was never made, is not sampled, is still"
            " on another machine, or has expired"
        )
        raise Problem(404, "unknown-prediction", detail)
    answer, *shadows = logged.records
    found = {
        "id": answer["id"],
        "model": logged.model,
        **_outcome(answer),
        "generation": answer["generation"],
        "time": answer["time"],
        "request_id": answer["request"],
        "entity": answer.get("entity"),
        "input": _named(storage, logged.model, answer),
        "latency_us": answer["us"],
        "shadows": [_outcome(record) for record in shadows],
    }
    return json_response(found)


def _outcome(record: dict[str, Any]) -> dict[str, Any]:
    """What one arm predicted, or why it failed."""
    outcome = {
        "version": record["version"],
        "arm": record["arm"],
        "probability": record.get("p"),
        "label": record.get("label"),
    }
    return outcome | ({"error": record["error"]} if record.get("error") else {})


def _named(storage: Path, model: str, record: dict[str, Any]) -> Any:
    """The input by column name; as a list where the plan or the bundle is gone."""
    try:
        objects = Storage(str(storage))
        plans = PublishedPlans(objects).of_generation(model, record["generation"])
        arms = [arm for plan in plans for arm in plan.arms]
        arm = next(arm for arm in arms if arm.version == record["version"])
        data = objects.get(f"{arm.bundle}/signature.json")
        if data is None:
            return record["x"]
        columns = msgspec.json.decode(data, type=Signature).columns
        names = [column.name for column in columns]
        return dict(zip(names, record["x"], strict=True))
    except (StorageUnavailableError, ValueError, StopIteration, msgspec.MsgspecError):
        return record["x"]
