"""``GET /predictions/{id}``: an answer that was given, and what it was given for."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Signature
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.requests.messages import Response, json_response
from ml_assets.serving.requests.problems import Problem


def find(
    logs: LogKeeper, served: Mapping[str, ServedModel], prediction_id: str
) -> Response:
    """The prediction, from this machine's segments or from the storage.

    Raises
    ------
    Problem
        404 if there is no such prediction, with the reason.
    """
    # Reads Parquet where the prediction is old, with a library that takes a while.
    from ml_assets.prediction_log import lookup as loglookup

    try:
        logged = loglookup.find(logs.home, logs.storage, prediction_id, logs.models)
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
        "input": _named(logs.storage, served, logged.model, answer),
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


def _named(
    storage: Storage,
    served: Mapping[str, ServedModel],
    model: str,
    record: dict[str, Any],
) -> Any:
    """The input by column name; as a list where the bundle is gone."""
    version = record["version"]
    arms = served[model].arms if model in served else ()
    known = [arm.signature for arm in arms if arm.version == version]
    try:
        if not known:
            name = f"versions/{model}/{version}/bundle/signature.json"
            data = storage.get(name) or b""
            known = [msgspec.json.decode(data, type=Signature)]
        names = [column.name for column in known[0].columns]
        return dict(zip(names, record["x"], strict=True))
    except (OSError, ValueError, msgspec.MsgspecError):
        return record["x"]
