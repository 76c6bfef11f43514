"""The binary tensor data extension of the Open Inference Protocol.

The header ``Inference-Header-Content-Length`` says how many bytes of a body are JSON.
The data of the tensors follow in their order, little-endian; each element of ``BYTES``
comes after its length in four bytes.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from ml_assets.serving.requests.messages import JSON
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import shown

EXTENSION = "binary_tensor_data"
HEADER = b"inference-header-content-length"
OCTETS = b"application/octet-stream"

_SIZE, _OUTPUT, _ALL_OUTPUTS = "binary_data_size", "binary_data", "binary_data_output"
_LENGTH = struct.Struct("<I")
_DTYPES = {
    "BOOL": np.dtype("u1"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}


def split(body: bytes, json_bytes: int | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the data after it; `json_bytes` is None if all is JSON.

    Raises
    ------
    Problem
        400 if the JSON would be longer than the body.
    """
    if json_bytes is None:
        return body, b""
    if json_bytes > len(body):
        detail = (
            f"expected {json_bytes} bytes of JSON, as the header"
            f" Inference-Header-Content-Length says, found {len(body)}"
        )
        raise Problem(400, "malformed-json", detail)
    return body[:json_bytes], body[json_bytes:]


def with_data(inputs: object, data: bytes) -> object:
    """The tensors `inputs` with the ``data`` that came after the JSON.

    A NaN is a missing value: these tensors have no other. What is no tensor stays as it
    is, for the check of the request.

    Raises
    ------
    Problem
        422 if the sizes do not add up to the data, or a tensor is not of its datatype.
    """
    if not isinstance(inputs, list):
        return inputs
    found: list[object] = []
    start = 0
    for tensor in inputs:
        size = _parameter(tensor, _SIZE)
        if size is None:
            found.append(tensor)
            continue
        name = str(tensor.get("name"))
        if type(size) is not int or size < 0 or "data" in tensor:
            raise _invalid(name, "either data or a binary_data_size", "another")
        part = data[start : start + size]
        start += size
        if len(part) != size:
            raise _invalid(name, f"{size} bytes of data", f"{len(part)}")
        found.append({**tensor, "data": _values(name, tensor.get("datatype"), part)})
    if start != len(data):
        detail = f"expected {start} bytes of binary tensors, found {len(data)}"
        raise Problem(422, "invalid-request", detail)
    return found


def wanted(payload: dict[str, Any]) -> Callable[[str], bool]:
    """Whether an output, by its name, is to be binary, as the request has it."""
    is_default = _parameter(payload, _ALL_OUTPUTS) is True
    outputs = payload.get("outputs")
    named = {
        item["name"]: chosen is True
        for item in (outputs if isinstance(outputs, list) else ())
        if (chosen := _parameter(item, _OUTPUT)) is not None
    }
    return lambda name: named.get(name, is_default)


def encode(
    answer: dict[str, Any], is_binary: Callable[[str], bool]
) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
    """The body of an answer, its content type and the header of its JSON's length."""
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for item in answer["outputs"]:
        if not is_binary(item["name"]):
            outputs.append(item)
            continue
        rest = {key: value for key, value in item.items() if key != "data"}
        parts.append(_bytes(item["datatype"], item["data"]))
        parameters = {**item.get("parameters", {}), _SIZE: len(parts[-1])}
        outputs.append({**rest, "parameters": parameters})
    head = msgspec.json.encode({**answer, "outputs": outputs})
    if not parts:
        return head, JSON, ()
    return b"".join((head, *parts)), OCTETS, ((HEADER, b"%d" % len(head)),)


def _parameter(item: object, name: str) -> Any:
    parameters = item.get("parameters") if isinstance(item, dict) else None
    return parameters.get(name) if isinstance(parameters, dict) else None


def _values(name: str, datatype: object, data: bytes) -> list[Any]:
    if datatype == "BYTES":
        return _texts(name, data)
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise _invalid(name, "a datatype of the protocol", "another")
    if len(data) % dtype.itemsize:
        expected = f"a multiple of {dtype.itemsize} bytes for {datatype}"
        raise _invalid(name, expected, str(len(data)))
    values = np.frombuffer(data, dtype)
    found: list[Any] = (values != 0 if datatype == "BOOL" else values).tolist()
    for row in np.flatnonzero(values != values).tolist():
        found[row] = None
    return found


def _texts(name: str, data: bytes) -> list[str]:
    found = []
    start = 0
    while start < len(data):
        end = start + _LENGTH.size
        if end <= len(data):
            end += _LENGTH.unpack_from(data, start)[0]
        if end > len(data):
            raise _invalid(name, "elements of BYTES with their lengths", "fewer bytes")
        try:
            found.append(data[start + _LENGTH.size : end].decode())
        except UnicodeDecodeError:
            raise _invalid(name, "texts in UTF-8", "other bytes") from None
        start = end
    return found


def _bytes(datatype: str, data: Sequence[Any]) -> bytes:
    if datatype != "BYTES":
        return np.array(data, _DTYPES[datatype]).tobytes()
    texts = [str(item).encode() for item in data]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def _invalid(name: str, expected: str, found: str) -> Problem:
    column = shown(name)[1:-1]
    return invalid([FieldError(column=column, expected=expected, found=found)])
