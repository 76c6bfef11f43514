"""Rules between fields that a JSON schema cannot express, for generated requests.

Loaded by schemathesis through SCHEMATHESIS_HOOKS.
"""

import os

import schemathesis
from schemathesis import GenerationMode

WIDEST = {float: "FP64", int: "INT64", bool: "BOOL", str: "BYTES"}
PAST = (1_790_000_000, "2026-09-21T14:13:20Z")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Give all arrays of a valid request the same length, and tensors their shape."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if case.path == "/predictions/{id}":
        # Of all ids that could be, one was made.
        case.path_parameters["id"] = os.environ["PREDICTION_ID"]
    if case.media_type == "text/csv":
        # No schema can express what the lines are.
        case.body = "age,hours,married,sex\n41,40,True,Male\n,20,false,Female\n"
    body = case.body
    if not isinstance(body, dict):
        return
    for label in body.get("labels", ()):
        if "time" in label:
            # No schema can express that a time must not lie in the future.
            label["time"] = PAST[type(label["time"]) is str]
    if isinstance(body.get("columns"), dict):
        size = min(len(values) for values in body["columns"].values())
        body["columns"] = {k: values[:size] for k, values in body["columns"].items()}
    if isinstance(body.get("entities"), list):
        size = len(
            body["rows"] if "rows" in body else next(iter(body["columns"].values()))
        )
        body["entities"] = [*body["entities"], *[None] * size][:size]
        # A request names its entities in one way.
        case.headers.pop("X-Entity", None)
    if isinstance(body.get("inputs"), list) and case.path.endswith("/infer"):
        size = min(len(tensor["data"]) for tensor in body["inputs"])
        for tensor in body["inputs"]:
            tensor["data"] = tensor["data"][:size]
            tensor["shape"] = [size]
            # Nor that the values are in the range of the datatype.
            tensor["datatype"] = _widest(tensor["data"], tensor["datatype"])


def _widest(data, datatype):
    """The datatype that holds all of `data`; that which was given for nulls alone."""
    kinds = {*map(type, data)} - {type(None)}
    return next((name for kind, name in WIDEST.items() if kind in kinds), datatype)
