"""``POST /invocations``: what a client of ``mlflow models serve`` sends and reads."""

from typing import Any

import msgspec

from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.protocols.csv_rows import csv_rows
from ml_assets.serving.protocols.matrix import columns_of_matrix
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import RowDecoder, require_object
from ml_assets.serving.requests.messages import CSV, Request, Response
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import MAX_ERRORS, check_size, loads, shown
from ml_assets.serving.requests.values import found

FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")


class UnknownParameter(
    msgspec.Struct, frozen=True, tag_field="type", tag="unknown-parameter"
):
    """A key of ``params`` that changes nothing."""

    name: str


def invoke(model: ServedModel, series: ArmSeries, request: Request) -> Response:
    """Answer one request: ``predictions`` are labels, as MLflow gives them, or values.

    ``probabilities`` are those of the positive class, or objects with that of each of
    several classes; ``lower`` and ``upper`` are the ends of the intervals of values,
    where the version has some. ``warnings`` is that of the native protocol, and names
    the keys of ``params``, which are ignored.
    """
    decoder = model.live.decoder
    unknown: list[UnknownParameter] = []
    if request.media == CSV:
        batch = csv_rows(decoder, request.body)
    else:
        payload = loads(request.body)
        unknown = _unknown_params(payload)
        batch = read(decoder, payload)
    scored = model.answer(batch, request)
    arm = scored.only_arm
    task = scored.task
    named = task.named(scored.answers)
    answer: dict[str, Any] = {
        "predictions": scored.labels,
        **({"probabilities": named} if named else {}),
        **task.limits(scored.answers),
        "prediction_ids": scored.ids,
        "model": model.name,
        "version": arm and arm.version,
        "arm": arm and arm.mode,
        "request_id": request.request_id,
    }
    warnings = [*batch.unseen, *unknown]
    if warnings:
        answer["warnings"] = warnings
    if scored.arms is not None:
        answer["versions"] = [item.version for item in scored.arms]
        answer["arms"] = [item.mode for item in scored.arms]
    return series.response(scored, msgspec.json.encode(answer))


def read(decoder: RowDecoder, payload: object) -> Batch:
    """The rows of an MLflow request, of which exactly one form must be given."""
    forms = dict(require_object(payload, (*FORMS, "params")))
    forms.pop("params", None)
    if len(forms) != 1:
        detail = f"expected one of the keys {', '.join(FORMS)}, found {len(forms)}"
        raise Problem(422, "invalid-request", detail)
    form, value = next(iter(forms.items()))
    if form == "dataframe_split":
        return _split(decoder, value)
    if form == "dataframe_records":
        return decoder.check_rows(value)
    if isinstance(value, list):
        # A tensor, where MLflow's clients send an array of NumPy.
        is_matrix = bool(value) and isinstance(value[0], list)
        if is_matrix:
            return decoder.check_columns(columns_of_matrix(decoder, value))
        return decoder.check_rows(value)
    columns = require_object(value, decoder.names)
    scalars = [not isinstance(item, list) for item in columns.values()]
    # One row may be given without the brackets.
    if columns and all(scalars):
        columns = {name: [item] for name, item in columns.items()}
    return decoder.check_columns(columns)


def _unknown_params(payload: object) -> list[UnknownParameter]:
    """The parameters of a request: no model has any, and MLflow ignores such."""
    params = payload.get("params") if isinstance(payload, dict) else None
    if params is None:
        return []
    if not isinstance(params, dict):
        error = FieldError(column="params", expected="an object", found=found(params))
        raise invalid([error])
    return [UnknownParameter(shown(name)[1:-1]) for name in list(params)[:MAX_ERRORS]]


def _split(decoder: RowDecoder, value: object) -> Batch:
    parts = require_object(value, ("columns", "data", "index"))
    names, data = parts.get("columns"), parts.get("data")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid(
            [
                FieldError(
                    column="columns", expected="an array of names", found=found(names)
                )
            ]
        )
    for index, name in enumerate(names):
        if name in names[:index]:
            detail = f"the column {shown(name)} stands twice"
            raise Problem(422, "invalid-request", detail)
    if not isinstance(data, list):
        raise invalid(
            [FieldError(column="data", expected="an array of rows", found=found(data))]
        )
    index = parts.get("index", [])
    if not isinstance(index, list):
        error = FieldError(column="index", expected="an array", found=found(index))
        raise invalid([error])
    check_size(len(data), decoder.max_rows)
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            text = f"an array of {len(row)}" if isinstance(row, list) else found(row)
            expected = f"an array of {len(names)} values"
            raise invalid([FieldError(row=number, expected=expected, found=text)])
    columns: dict[str, list[Any]] = {
        name: [row[index] for row in data] for index, name in enumerate(names)
    }
    return decoder.check_columns(columns)
