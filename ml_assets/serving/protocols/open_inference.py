"""The Open Inference Protocol, version 2: one tensor per column."""

from typing import Any

import msgspec

import ml_assets
from ml_assets.records.plan import Column, Kind
from ml_assets.serving.models.arms import Scored
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.protocols import binary_tensors
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import RowDecoder, require_object
from ml_assets.serving.requests.messages import Request, Response
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import loads, shown
from ml_assets.serving.requests.values import found, is_text
from ml_assets.serving.tasks import Answers, Output

_INTEGERS = tuple(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
# The first of each is the one that the model's metadata names.
DATATYPES: dict[Kind, tuple[str, ...]] = {
    "number": ("FP64", "FP32", "FP16", *_INTEGERS),
    "integer": ("INT64", *(name for name in _INTEGERS if name != "INT64")),
    "boolean": ("BOOL", "BYTES"),
    # A category may be a number or a truth value: its values determine which.
    "string": ("BYTES", "BOOL", "INT64", "FP64", *_INTEGERS, "FP32", "FP16"),
}
# Where a plan splits the traffic, rows of one request may be answered by several arms.
_ARM_OUTPUTS = ("version", "arm")


def server_metadata() -> dict[str, Any]:
    """The answer to ``GET /v2``."""
    return {
        "name": "ml-assets",
        "version": ml_assets.__version__,
        "extensions": [binary_tensors.EXTENSION],
    }


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """The answer to ``GET /v2/models/{name}``."""
    signature = model.live.signature
    return {
        "name": model.name,
        "versions": [arm.version for arm in model.arms],
        "platform": "ml-assets",
        "inputs": [
            {
                "name": item.name,
                "datatype": DATATYPES[item.kind][0],
                "shape": [-1],
                "parameters": {"nullable": item.nullable, "optional": item.optional},
            }
            for item in signature.inputs
        ],
        "outputs": [
            {"name": item.name, "datatype": item.datatype, "shape": item.shape(-1)}
            | item.parameters
            for item in _all_outputs(model.live.task, model.is_split)
        ],
    }


def infer(model: ServedModel, series: ArmSeries, request: Request) -> Response:
    """Answer one inference request."""
    text, tensors = binary_tensors.split(request.body, request.form.json_bytes)
    payload = require_object(loads(text), ("id", "parameters", "inputs", "outputs"))
    id_ = payload.get("id", request.request_id)
    if not is_text(id_):
        error = FieldError(column="id", expected="a string", found=found(id_))
        raise invalid([error])
    wanted = _wanted(payload.get("outputs"), model)
    inputs = binary_tensors.with_data(payload.get("inputs"), tensors)
    batch = read(model.live.decoder, inputs)
    scored = model.answer(batch, request)
    arm = scored.only_arm
    answer = {
        "model_name": model.name,
        **({"model_version": arm.version} if arm else {}),
        "id": id_,
        "parameters": {
            **({"arm": arm.mode} if arm else {}),
            "request_id": request.request_id,
            **_warnings(batch),
        },
        "outputs": [item for item in _outputs(scored) if item["name"] in wanted],
    }
    is_binary = binary_tensors.wanted(payload)
    return series.response(scored, *binary_tensors.encode(answer, is_binary))


def _warnings(batch: Batch) -> dict[str, str]:
    """The warnings as JSON in a text: a parameter of the protocol is no list."""
    unseen = batch.unseen
    return {"warnings": msgspec.json.encode(unseen).decode()} if unseen else {}


def read(decoder: RowDecoder, inputs: object) -> Batch:
    """The rows of the tensors `inputs`, of shape ``[n]`` or ``[n, 1]`` each."""
    if not isinstance(inputs, list):
        error = FieldError(column="inputs", expected="an array", found=found(inputs))
        raise invalid([error])
    kinds = {column.name: column for column in decoder.signature.columns}
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        parts = require_object(
            tensor, ("name", "shape", "datatype", "parameters", "data")
        )
        name = parts.get("name")
        if not isinstance(name, str):
            raise invalid(
                [FieldError(column="name", expected="a string", found=found(name))]
            )
        if name in columns:
            raise Problem(422, "invalid-request", f"input {shown(name)} stands twice")
        if name in kinds and not kinds[name].ignored:
            _check_datatype(kinds[name], parts.get("datatype"))
        columns[name] = _data(name, parts.get("shape"), parts.get("data"))
    return decoder.check_columns(columns)


def _check_datatype(column: Column, datatype: object) -> None:
    allowed = DATATYPES[column.kind]
    if datatype not in allowed:
        text = shown(datatype) if isinstance(datatype, str) else found(datatype)
        usual = allowed[:1] if column.kind == "string" else allowed[:2]
        expected = f"datatype {' or '.join(usual)}"
        raise invalid([FieldError(column=column.name, expected=expected, found=text)])


def _data(name: str, shape: object, data: object) -> list[Any]:
    if not isinstance(data, list):
        raise invalid(
            [
                FieldError(
                    column=shown(name)[1:-1],
                    expected="data as an array",
                    found=found(data),
                )
            ]
        )
    # A tensor of shape [n, 1] may be given flat or nested.
    if data and all(isinstance(item, list) and len(item) == 1 for item in data):
        data = [item[0] for item in data]
    size = len(data)
    if shape not in ([size], [size, 1]) or any(type(item) is not int for item in shape):
        expected = f"shape [{size}] or [{size}, 1], as the data has"
        raise invalid(
            [
                FieldError(
                    column=shown(name)[1:-1], expected=expected, found="another shape"
                )
            ]
        )
    return data


def _wanted(outputs: object, model: ServedModel) -> set[str]:
    names = {item.name for item in _all_outputs(model.live.task, model.is_split)}
    if outputs is None:
        return names
    if not isinstance(outputs, list):
        raise invalid(
            [FieldError(column="outputs", expected="an array", found=found(outputs))]
        )
    wanted: set[str] = set()
    for item in outputs:
        name = require_object(item, ("name", "parameters")).get("name")
        if not isinstance(name, str) or name not in names:
            expected = f"one of the outputs {', '.join(sorted(names))}"
            raise invalid(
                [FieldError(column="outputs", expected=expected, found="another")]
            )
        wanted.add(name)
    return wanted or names


def _all_outputs(task: Answers, is_split: bool) -> list[Output]:
    """The outputs of a model: those of its task, the ids, and the arms."""
    names = ("prediction_id", *(_ARM_OUTPUTS if is_split else ()))
    return [*task.outputs, *(Output(name, "BYTES") for name in names)]


def _outputs(scored: Scored) -> list[dict[str, Any]]:
    task, arms = scored.task, scored.arms
    data = task.columns(scored.answers) | {"prediction_id": scored.ids}
    if arms is not None:
        data["version"] = [own.version for own in arms]
        data["arm"] = [own.mode for own in arms]
    return [
        {
            "name": item.name,
            "datatype": item.datatype,
            "shape": item.shape(scored.batch.size),
            **item.parameters,
            "data": data[item.name],
        }
        for item in _all_outputs(task, arms is not None)
    ]
