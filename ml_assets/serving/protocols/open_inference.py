"""The Open Inference Protocol, version 2: metadata and inference."""

from typing import Any

import msgspec

import ml_assets
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.protocols import binary_tensors
from ml_assets.serving.protocols.tensors import DATATYPES, read
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import require_object
from ml_assets.serving.requests.messages import Request, Response
from ml_assets.serving.requests.problems import FieldError, invalid
from ml_assets.serving.requests.validation import loads
from ml_assets.serving.requests.values import found, is_text
from ml_assets.serving.tasks import Answers, Output

_KEYS = ("id", "model_name", "parameters", "inputs", "outputs")
# Where a plan splits the traffic, rows of one request may be answered by several arms.
_ARM_OUTPUTS = ("version", "arm")


def server_metadata() -> dict[str, Any]:
    """The answer to ``GET /v2``."""
    return {
        "name": "ml-assets",
        "version": ml_assets.__version__,
        "extensions": [binary_tensors.EXTENSION],
    }


def model_metadata(model: ServedModel, arm: ServedArm | None = None) -> dict[str, Any]:
    """The answer to ``GET /v2/models/{name}``; of one version only if it is given."""
    is_split = model.is_split and arm is None
    return {
        "name": model.name,
        "versions": [item.version for item in ([arm] if arm else model.answering)],
        "platform": "ml-assets",
        "inputs": [
            {
                "name": item.name,
                "datatype": DATATYPES[item.kind][0],
                "shape": [-1],
                "parameters": {"nullable": item.nullable, "optional": item.optional},
            }
            for item in model.live.signature.inputs
        ],
        "outputs": [
            {"name": item.name, "datatype": item.datatype, "shape": item.shape(-1)}
            | item.parameters
            for item in _all_outputs((arm or model.live).task, is_split)
        ],
    }


def infer(
    model: ServedModel,
    series: ArmSeries,
    request: Request,
    only: ServedArm | None = None,
) -> Response:
    """Answer one inference request, by the version `only` if it is given."""
    document, tensors = binary_tensors.split(request.body, request.form.json_bytes)
    # What a client does not use it may send as null, as MLServer's types do.
    given = require_object(loads(document), _KEYS)
    payload = {key: value for key, value in given.items() if value is not None}
    parameters = payload.get("parameters", {})
    if not isinstance(parameters, dict):
        expected, text = "an object", found(parameters)
        raise invalid([FieldError(column="parameters", expected=expected, found=text)])
    named = payload.get("model_name", model.name)
    if named != model.name:
        # Of KServe's client, which repeats it.
        expected, text = f"{model.name}, as the address has it", "another"
        raise invalid([FieldError(column="model_name", expected=expected, found=text)])
    id_ = payload.get("id", request.request_id)
    if not is_text(id_):
        error = FieldError(column="id", expected="a string", found=found(id_))
        raise invalid([error])
    wanted = _wanted(payload.get("outputs"), model, only)
    inputs = binary_tensors.with_data(payload.get("inputs"), tensors)
    batch = read(model.live.decoder, inputs)
    scored = model.answer(batch, request, only)
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


def _wanted(outputs: object, model: ServedModel, only: ServedArm | None) -> set[str]:
    is_split = model.is_split and only is None
    names = {item.name for item in _all_outputs((only or model.live).task, is_split)}
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
