"""A version on disk: the model, its request schema, and the answers it must give.

``model.skops``      the whole fitted Pipeline
``signature.json``   the request schema
``probe.json``       rows, and the probabilities that scikit-learn gave for them
``runtime.json``     \\ the pipeline as flat tables, where it could be compiled
``runtime.npz``      /

The SHA-256 of every file is returned and kept elsewhere; nothing is read before its
digest was compared, and no version answers before it repeated its probe answers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from ml_assets.serving.files import BundleError, digests, read_verified, verify_bundle
from ml_assets.serving.plan import Signature, encode
from ml_assets.serving.runtime.protocol import Refused, Runtime
from ml_assets.storage import write_bytes

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BundleError",
    "Manifest",
    "load_pipeline",
    "load_runtime",
    "verify_bundle",
    "write_bundle",
]

MODEL = "model.skops"
SIGNATURE = "signature.json"
PROBE = "probe.json"
TABLES = "runtime.npz"
PROGRAM = "runtime.json"

# A linear model's dot product may be summed in another order than BLAS does it.
LINEAR_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Manifest:
    """What `write_bundle` wrote.

    Attributes
    ----------
    files : dict of str to str
        Path below the bundle, with ``/``, to its SHA-256 in hexadecimal.
    runtime : str
        ``compiled`` or ``sklearn``.
    reason : str
        Why the pipeline did not compile; empty where it did.
    """

    files: dict[str, str]
    runtime: Literal["compiled", "sklearn"]
    reason: str = ""


class Probe(msgspec.Struct, frozen=True):
    """Rows as request columns, and scikit-learn's answer to each."""

    columns: list[list[float | int | bool | str | None]]
    answers: list[float]


def write_bundle(
    directory: Path, pipeline: Any, signature: Signature, probe: "pd.DataFrame"
) -> Manifest:
    """Write a fitted pipeline as the files that a model server loads.

    Parameters
    ----------
    directory : Path
        Created where absent. Files that it already holds go into the manifest too.
    pipeline : sklearn.pipeline.Pipeline
        Fitted; its steps are ``derive`` (optional), ``encode`` and ``estimator``.
    signature : Signature
        The request schema of the raw columns.
    probe : pandas.DataFrame
        Raw rows, as training saw them, whose answers are kept. A few hundred will do.

    Returns
    -------
    Manifest
        To be kept outside the bundle.

    Raises
    ------
    BundleError
        If the model holds a type that no server would load, or answers a request
        otherwise than the same row of the training frame.
    """
    from ml_assets.serving.compiler import NotCompiled, compile_pipeline

    directory.mkdir(parents=True, exist_ok=True)
    rows = _requests(signature, probe)
    answers = _reference(pipeline, signature, probe, rows)
    model = _dump(pipeline)
    write_bytes(directory / MODEL, model)
    write_bytes(directory / SIGNATURE, encode(signature))
    write_bytes(directory / PROBE, msgspec.json.encode(Probe(rows, answers)))
    for stale in (TABLES, PROGRAM):
        (directory / stale).unlink(missing_ok=True)
    reason = ""
    try:
        compiled = compile_pipeline(pipeline, signature, rows)
    except NotCompiled as error:
        reason = str(error)
    else:
        write_bytes(directory / PROGRAM, encode(compiled[0]))
        write_bytes(directory / TABLES, compiled[1])
    files = digests(directory)
    # What cannot be loaded again must not leave the training run.
    load_runtime(directory, files)
    return Manifest(files, "sklearn" if reason else "compiled", reason)


def load_runtime(directory: Path, files: Mapping[str, str]) -> Runtime:
    """Verify a bundle, load it, and let it repeat its probe answers.

    A compiled bundle needs numpy alone: neither scikit-learn nor pandas is imported.

    Parameters
    ----------
    directory : Path
        The bundle.
    files : mapping of str to str
        Its manifest, from a place that is trusted more than the bundle.

    Raises
    ------
    BundleError
        If a file is missing, altered, truncated or surplus, if the model names a
        foreign type, or at the first probe row answered otherwise than at training.
    """
    verify_bundle(directory, files)
    signature = _decode(directory, files, SIGNATURE, Signature)
    runtime: Runtime
    tolerance = 0.0
    if PROGRAM in files:
        from ml_assets.serving.runtime.compiled import load_tables
        from ml_assets.serving.runtime.program import Program, TablesError

        program = _decode(directory, files, PROGRAM, Program)
        tables = read_verified(directory, TABLES, files)
        try:
            runtime = load_tables(signature, program, tables)
        except TablesError as error:
            raise BundleError(f"{directory / TABLES}: {error}") from error
        if program.kernel == "linear":
            tolerance = LINEAR_TOLERANCE
    else:
        from ml_assets.serving.runtime.fallback import SklearnRuntime

        pipeline = load_pipeline(directory, files)
        # Two BLAS libraries add up a dot product in two orders.
        tolerance = 0.0 if _is_tree(pipeline) else LINEAR_TOLERANCE
        runtime = SklearnRuntime(pipeline, signature)
    probe = _decode(directory, files, PROBE, Probe)
    _compare(runtime, probe, tolerance)
    return runtime


def load_pipeline(directory: Path, files: Mapping[str, str]) -> Any:
    """The fitted scikit-learn pipeline of a bundle.

    Raises
    ------
    BundleError
        If the file is missing or altered, or names a foreign type.
    """
    from ml_assets.serving.trusted import UntrustedError, load_skops

    data = read_verified(directory, MODEL, files)
    try:
        return load_skops(data)
    except UntrustedError as error:
        raise BundleError(f"{directory / MODEL}: {error}") from error


def _is_tree(pipeline: Any) -> bool:
    return type(pipeline[-1]).__module__.startswith(
        ("sklearn.ensemble", "sklearn.tree")
    )


def _decode(
    directory: Path, files: Mapping[str, str], name: str, kind: type[Any]
) -> Any:
    data = read_verified(directory, name, files)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"{directory / name}: {error}") from error


def _requests(signature: Signature, probe: "pd.DataFrame") -> list[list[Any]]:
    from ml_assets.serving.runtime.frames import columns_of

    if not len(probe):
        raise BundleError("the probe has no row, expected some to compare answers with")
    try:
        columns = columns_of(signature, probe)
    except KeyError as error:
        raise BundleError(f"the probe has no column {error}") from error
    if any(value in (np.inf, -np.inf) for values in columns for value in values):
        raise BundleError("the probe holds an infinite value, which JSON cannot carry")
    return columns


def _reference(
    pipeline: Any, signature: Signature, probe: "pd.DataFrame", rows: list[list[Any]]
) -> list[float]:
    """Scikit-learn's answers, which the request rows must get as well."""
    from ml_assets.serving.runtime.fallback import SklearnRuntime

    try:
        runtime = SklearnRuntime(pipeline, signature)
        served = runtime.predict_many(rows)
    except ValueError as error:
        raise BundleError(f"the pipeline refuses its probe rows: {error}") from error
    names = [column.name for column in signature.columns]
    trained = pipeline.predict_proba(probe[names])[:, runtime.positive]
    for row, (one, other) in enumerate(zip(served, trained, strict=True)):
        if not np.isclose(one, other, rtol=LINEAR_TOLERANCE, atol=0):
            raise BundleError(
                f"probe row {row}: {other!r} from the training frame, but {one!r} from"
                " the same values in a request"
            )
    return [float(answer) for answer in served]


def _dump(pipeline: Any) -> bytes:
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    from ml_assets.serving.trusted import UntrustedError, check_skops

    try:
        data: bytes = skops.io.dumps(pipeline)
        check_skops(data)
    except (UnsupportedTypeException, UntrustedError) as error:
        raise BundleError(f"the pipeline cannot be packaged: {error}") from error
    return data


def _compare(runtime: Runtime, probe: Probe, tolerance: float) -> None:
    """Score the probe rows at once and the first of them alone."""
    expected = np.array(probe.answers)
    try:
        many = runtime.predict_many(probe.columns)
        if many.shape != expected.shape:
            raise BundleError(
                f"{many.shape[0]} probe answers, expected {expected.shape[0]}"
            )
        for row, (found, wanted) in enumerate(_answers(runtime, probe, many, expected)):
            if not abs(found - wanted) <= tolerance * abs(wanted):
                raise BundleError(
                    f"probe row {row} is answered {found!r} by the {runtime.kind}"
                    f" runtime, expected {wanted!r} as at training"
                )
    except Refused as error:
        raise BundleError(f"the runtime refuses its probe rows: {error}") from error


def _answers(
    runtime: Runtime, probe: Probe, many: Any, expected: Any
) -> Iterator[tuple[float, float]]:
    yield from zip(many.tolist(), expected.tolist(), strict=True)
    for row in range(min(8, len(expected))):
        values = [column[row] for column in probe.columns]
        yield runtime.predict_one(values), float(expected[row])
