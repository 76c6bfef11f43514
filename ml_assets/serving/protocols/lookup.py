"""``GET /predictions/{id}``: an answer that was given, and what it was given for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Signature
from ml_assets.serving.access.callers import Caller
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.requests.messages import Response, json_response
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.tasks import answers_of

if TYPE_CHECKING:
    from ml_assets.prediction_log.lookup import Logged


def find(
    logs: LogKeeper,
    served: Mapping[str, ServedModel],
    prediction_id: str,
    caller: Caller | None = None,
) -> Response:
    """The prediction, from this machine's segments or from the storage.

    One that the `caller` may not see is answered as if there was none: of another
    model, or, where it may look up its own alone, one that another asked for.

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
    if logged is None or not _may_see(caller, logged):
        detail = (
            "no log has this prediction: it was never made, is not sampled, is still"
            " on another machine, or has expired"
        )
        raise Problem(404, "unknown-prediction", detail)
    answer, *shadows = logged.records
    signatures = {
        record["version"]: _signature(logs.storage, served, logged.model, record)
        for record in logged.records
    }
    found = {
        "id": answer["id"],
        "model": logged.model,
        **_outcome(answer, signatures),
        "generation": answer["generation"],
        "time": answer["time"],
        "request_id": answer["request"],
        "entity": answer.get("entity"),
        **({"caller": answer["caller"]} if answer.get("caller") else {}),
        "input": _named(answer, signatures),
        "latency_us": answer["us"],
        "shadows": [_outcome(record, signatures) for record in shadows],
    }
    return json_response(found)


def _may_see(caller: Caller | None, logged: "Logged") -> bool:
    if caller is None or caller.has("lookup", logged.model):
        return True
    is_own = logged.records[0].get("caller") == caller.id
    return is_own and caller.may("lookup", logged.model)


_Signatures = Mapping[str, Signature | None]


def _outcome(record: dict[str, Any], signatures: _Signatures) -> dict[str, Any]:
    """What one arm predicted, or why it failed."""
    signature = signatures[record["version"]]
    outcome = {"version": record["version"], "arm": record["arm"]}
    value = record.get("value")
    if value is not None or (signature and signature.task == "regression"):
        outcome["value"] = value
        if signature and value is not None:
            limits = answers_of(signature).limits([value])
            outcome |= {name: item for name, (item,) in limits.items()}
    else:
        outcome |= {"probability": record.get("p"), "label": record.get("label")}
    probabilities = record.get("probabilities")
    if probabilities is not None:
        # Without names where the bundle is gone.
        named = answers_of(signature).named([probabilities]) if signature else ()
        outcome["probabilities"] = named[0] if named else probabilities
    return outcome | ({"error": record["error"]} if record.get("error") else {})


def _signature(
    storage: Storage,
    served: Mapping[str, ServedModel],
    model: str,
    record: dict[str, Any],
) -> Signature | None:
    """The signature of the version of a record; None where the bundle is gone."""
    version = record["version"]
    arms = served[model].arms if model in served else ()
    known = [arm.signature for arm in arms if arm.version == version]
    if known:
        return known[0]
    try:
        data = storage.get(f"versions/{model}/{version}/bundle/signature.json") or b""
        return from_json(data, Signature)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _named(record: dict[str, Any], signatures: _Signatures) -> Any:
    """The input by column name; as a list where the bundle is gone."""
    signature = signatures[record["version"]]
    values = record["x"]
    if signature is None or len(signature.columns) != len(values):
        return values
    return dict(zip([item.name for item in signature.columns], values, strict=True))
