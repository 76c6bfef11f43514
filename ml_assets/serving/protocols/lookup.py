"""``GET /predictions/{id}``: an answer that was given, and what it was given for."""

from pathlib import Path
from typing import Any

import msgspec

from ml_assets.records.plan import Signature
from ml_assets.serving.requests.messages import Response, json_response
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.models.plan_store import PlanStore


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
    answer, *shadows = logged.lines
    found = {
        "id": answer["id"],
        "model": logged.model,
        **_told(answer),
        "generation": answer["generation"],
        "time": answer["time"],
        "request_id": answer["request"],
        "entity": answer.get("entity"),
        "input": _named(storage, logged.model, answer),
        "latency_us": answer["us"],
        "shadows": [_told(line) for line in shadows],
    }
    return json_response(found)


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """What one arm said."""
    told = {
        "version": line["version"],
        "arm": line["arm"],
        "probability": line.get("p"),
        "label": line.get("label"),
    }
    return told | ({"error": line["error"]} if line.get("error") else {})


def _named(storage: Path, model: str, line: dict[str, Any]) -> Any:
    """The input by column name; as a list where the plan or the bundle is gone."""
    try:
        plan = PlanStore(storage).read(model, line["generation"])
        arm = next(arm for arm in plan.arms if arm.version == line["version"])
        data = (storage / arm.bundle / "signature.json").read_bytes()
        columns = msgspec.json.decode(data, type=Signature).columns
        names = [column.name for column in columns]
        return dict(zip(names, line["x"], strict=True))
    except (OSError, ValueError, StopIteration, msgspec.MsgspecError):
        return line["x"]
