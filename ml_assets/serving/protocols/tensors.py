"""The input tensors of the Open Inference Protocol: one per column, or a matrix."""

from collections.abc import Callable
from typing import Any

from ml_assets.records.plan import Kind
from ml_assets.serving.protocols.matrix import columns_of_matrix, is_numeric
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.decoder import RowDecoder, require_object
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import shown
from ml_assets.serving.requests.values import found

_RANGES: dict[str, tuple[int, int]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32)},
    "INT64": (-(2**63), 2**63 - 1),
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
# The largest finite numbers of IEEE 754; one of FP64 is what JSON can hold.
_LARGEST = {"FP16": 65504.0, "FP32": (2 - 2**-23) * 2.0**127}
_INTEGERS = tuple(_RANGES)
# The first of each is the one that the model's metadata names.
DATATYPES: dict[Kind, tuple[str, ...]] = {
    "number": ("FP64", "FP32", "FP16", *_INTEGERS),
    "integer": ("INT64", *(name for name in _INTEGERS if name != "INT64")),
    "boolean": ("BOOL", "BYTES"),
    # A category may be a number or a truth value: its values determine which.
    "string": ("BYTES", "BOOL", "INT64", "FP64", *_INTEGERS, "FP32", "FP16"),
}


def read(decoder: RowDecoder, inputs: object) -> Batch:
    """The rows of the tensors `inputs`.

    They are one of shape ``[n]`` or ``[n, 1]`` per column, named as the column; or,
    where all columns are numbers, one of shape ``[n, k]`` with any name, whose `k`
    columns are in the order of the model's metadata.

    Raises
    ------
    Problem
        413 for too many rows; 422 with the column, what was expected and found.
    """
    if not isinstance(inputs, list):
        error = FieldError(column="inputs", expected="an array", found=found(inputs))
        raise invalid([error])
    keys = ("name", "shape", "datatype", "parameters", "data")
    tensors = [require_object(tensor, keys) for tensor in inputs]
    if len(tensors) == 1 and _is_matrix(decoder, tensors[0]):
        return decoder.check_columns(_matrix(decoder, tensors[0]))
    kinds = {column.name: column for column in decoder.signature.columns}
    columns: dict[str, list[Any]] = {}
    for parts in tensors:
        name = _name(parts)
        if name in columns:
            raise Problem(422, "invalid-request", f"input {shown(name)} stands twice")
        values = _data(name, parts.get("shape"), parts.get("data"))
        if name in kinds and not kinds[name].ignored:
            datatype = _datatype(name, kinds[name].kind, parts.get("datatype"))
            _check_range(name, datatype, values)
        columns[name] = values
    return decoder.check_columns(columns)


def _name(parts: dict[str, Any]) -> str:
    name = parts.get("name")
    if not isinstance(name, str):
        error = FieldError(column="name", expected="a string", found=found(name))
        raise invalid([error])
    return name


def _datatype(name: str, kind: Kind, datatype: object) -> str:
    allowed = DATATYPES[kind]
    if not isinstance(datatype, str) or datatype not in allowed:
        text = shown(datatype) if isinstance(datatype, str) else found(datatype)
        usual = allowed[:1] if kind == "string" else allowed[:2]
        expected = f"datatype {' or '.join(usual)}"
        raise invalid([FieldError(column=name, expected=expected, found=text)])
    return datatype


def _check_range(name: str, datatype: str, values: list[Any]) -> None:
    """Refuse the first value that a tensor of this datatype cannot hold."""
    expected, fits = _VALUES[datatype]
    for row, value in enumerate(values):
        if value is not None and not fits(value):
            error = FieldError(
                row=row, column=name, expected=expected, found=found(value)
            )
            raise invalid([error])


def _data(name: str, shape: object, data: object) -> list[Any]:
    if not isinstance(data, list):
        expected = "data as an array"
        raise invalid([_refusal(name, expected, found(data))])
    # A tensor of shape [n, 1] may be given flat or nested.
    if data and all(isinstance(item, list) and len(item) == 1 for item in data):
        data = [item[0] for item in data]
    size = len(data)
    if not _is_shape(shape) or shape not in ([size], [size, 1]):
        expected = f"shape [{size}] or [{size}, 1], as the data has"
        raise invalid([_refusal(name, expected, "another shape")])
    return data


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and all(type(item) is int for item in shape)


def _is_matrix(decoder: RowDecoder, parts: dict[str, Any]) -> bool:
    """Whether a tensor holds all columns of a model whose columns are numbers."""
    shape = parts.get("shape")
    if not _is_shape(shape) or not isinstance(shape, list) or len(shape) != 2:
        return False
    return is_numeric(decoder) and (
        shape[1] != 1 or parts.get("name") not in decoder.names
    )


def _matrix(decoder: RowDecoder, parts: dict[str, Any]) -> dict[str, list[Any]]:
    """The columns of a tensor of shape ``[n, k]``, which is given flat or nested."""
    name, data = _name(parts), parts.get("data")
    size, width = parts["shape"]
    if not isinstance(data, list):
        raise invalid([_refusal(name, "data as an array", found(data))])
    if not any(isinstance(item, list) for item in data):
        if size < 0 or width < 1 or len(data) != size * width:
            expected = f"{size * width} values, as the shape says"
            raise invalid([_refusal(name, expected, str(len(data)))])
        data = [data[start : start + width] for start in range(0, len(data), width)]
    if len(data) != size:
        expected = f"{size} rows, as the shape says"
        raise invalid([_refusal(name, expected, str(len(data)))])
    columns = columns_of_matrix(decoder, data)
    # One datatype for all columns, so that integers may come as FP64.
    datatype = _datatype(name, "number", parts.get("datatype"))
    for column, values in columns.items():
        _check_range(column, datatype, values)
    return columns


def _refusal(name: str, expected: str, text: str) -> FieldError:
    return FieldError(column=shown(name)[1:-1], expected=expected, found=text)


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _whole_within(low: int, high: int) -> Callable[[Any], bool]:
    fits = _within(low, high)
    return lambda value: fits(value) and value == value // 1


# Of each datatype what its tensors hold, in words, and the test of a value.
_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **{
        name: (f"integers of {name}, from {low} to {high}", _whole_within(low, high))
        for name, (low, high) in _RANGES.items()
    },
    **{
        name: (f"numbers of {name}, from -{most:g} to {most:g}", _within(-most, most))
        for name, most in _LARGEST.items()
    },
    "FP64": ("numbers of FP64", lambda value: type(value) in (int, float)),
    "BOOL": ("true or false", lambda value: type(value) is bool),
    # A category may be spelt as a number or a truth value.
    "BYTES": ("strings", lambda value: not isinstance(value, (list, dict))),
}
