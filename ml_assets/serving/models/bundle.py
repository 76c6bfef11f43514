"""A version on disk: the model, its request schema, and the answers it must give.

``model.skops``      the whole fitted Pipeline
``booster-*``        the models of LightGBM, XGBoost or CatBoost in it
``signature.json``   the request schema
``probe.json``       rows, and the answers that scikit-learn gave for them
``code.json``        SHA-256 of the project's own packages, where the model needs one
``runtime.json``     \\ the pipeline as flat tables, where it could be compiled
``runtime.npz``      /

The SHA-256 of every file is returned and kept elsewhere; nothing is read before its
digest was compared, and no version answers before it repeated its probe answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.digests import BundleError, digests, read_verified, verify_bundle
from ml_assets.core.files import write_bytes
from ml_assets.core.model_files import MODEL, dump_model, load_model
from ml_assets.core.user_code import source_digests, trusted_packages
from ml_assets.records.plan import Signature, encode
from ml_assets.serving.logs import log
from ml_assets.serving.models.probe import Probe as Probe
from ml_assets.serving.models.probe import probe_fault, this_machine
from ml_assets.serving.models.reference import reference, request_columns
from ml_assets.serving.runtime.protocol import Runtime

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BundleError",
    "Manifest",
    "load_library",
    "load_pipeline",
    "load_probe",
    "load_runtime",
    "load_signature",
    "verify_bundle",
    "write_bundle",
]

SIGNATURE = "signature.json"
PROBE = "probe.json"
TABLES = "runtime.npz"
PROGRAM = "runtime.json"
CODE = "code.json"
LibraryLoader = Callable[[Path, Mapping[str, str]], Runtime]


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
        Why scikit-learn serves; empty where compiled tables do.
    """

    files: dict[str, str]
    runtime: Literal["compiled", "sklearn"]
    reason: str = ""


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
    directory.mkdir(parents=True, exist_ok=True)
    rows = request_columns(signature, probe)
    rows, answers = reference(pipeline, signature, probe, rows)
    found = Probe(rows, answers, this_machine())
    models, own = _dump(pipeline)
    for name, data in models.items():
        write_bytes(directory / name, data)
    if own:
        write_bytes(directory / CODE, msgspec.json.encode(source_digests(own)))
    write_bytes(directory / SIGNATURE, encode(signature))
    write_bytes(directory / PROBE, msgspec.json.encode(found))
    reason = _compile(directory, pipeline, signature, rows)
    if not reason:
        reason = _load_compiled(directory, digests(directory)).fault
    if reason:
        for stale in (TABLES, PROGRAM):
            (directory / stale).unlink(missing_ok=True)
    files = digests(directory)
    # What cannot be loaded again must not leave the training run.
    load_runtime(directory, files)
    return Manifest(files, "sklearn" if reason else "compiled", reason)


def load_library(directory: Path, files: Mapping[str, str]) -> Runtime:
    """Load the fitted pipeline of a bundle, and let it repeat its probe answers.

    Raises
    ------
    BundleError
        If a file is altered, if the model names a foreign type, or at the first probe
        row answered otherwise than at training.
    """
    from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime

    if CODE in files:
        _compare_code(_decode(directory, files, CODE, dict[str, str]))
    signature = load_signature(directory, files)
    runtime = SklearnRuntime(load_pipeline(directory, files), signature)
    fault = probe_fault(runtime, load_probe(directory, files))
    if fault:
        raise BundleError(fault)
    return runtime


def load_runtime(
    directory: Path,
    files: Mapping[str, str],
    library: LibraryLoader = load_library,
) -> Runtime:
    """Verify a bundle, load it, and let it repeat its probe answers.

    A compiled bundle needs numpy alone: neither scikit-learn nor pandas is imported.
    Where its answers are others here, as on another processor, scikit-learn serves.

    Parameters
    ----------
    directory : Path
        The bundle.
    files : mapping of str to str
        Its manifest, from a source that is trusted more than the bundle.
    library : callable
        Loads what is not compiled; by default `load_library`, in this process.

    Raises
    ------
    BundleError
        If a file is missing, altered, truncated or surplus, if the model names a
        foreign type, or at the first probe row answered otherwise than at training.
    """
    verify_bundle(directory, files)
    if PROGRAM in files:
        compiled = _load_compiled(directory, files)
        if not compiled.fault:
            return compiled.runtime
        log("scikit-learn serves", WARNING, reason=compiled.fault)
    return library(directory, files)


def load_signature(directory: Path, files: Mapping[str, str]) -> Signature:
    """The request schema of a bundle."""
    found: Signature = _decode(directory, files, SIGNATURE, Signature)
    return found


def load_probe(directory: Path, files: Mapping[str, str]) -> Probe:
    """The probe rows of a bundle."""
    found: Probe = _decode(directory, files, PROBE, Probe)
    return found


def _compare_code(trained: Mapping[str, str]) -> None:
    """Log which packages are not those of training; the probe answers decide."""
    here = source_digests(trained)
    others = [name for name, digest in trained.items() if here.get(name) != digest]
    if others:
        log("own code is not that of training", WARNING, reason=", ".join(others))


class _Compiled(NamedTuple):
    runtime: Runtime
    fault: str


def _load_compiled(directory: Path, files: Mapping[str, str]) -> _Compiled:
    """The compiled runtime, and which probe row it answers otherwise."""
    from ml_assets.serving.runtime.compiled import load_tables
    from ml_assets.serving.runtime.program import Program, TablesError

    signature = load_signature(directory, files)
    program = _decode(directory, files, PROGRAM, Program)
    tables = read_verified(directory, TABLES, files)
    try:
        runtime = load_tables(signature, program, tables)
    except TablesError as error:
        raise BundleError(f"{directory / TABLES}: {error}") from error
    return _Compiled(runtime, probe_fault(runtime, load_probe(directory, files)))


def _compile(
    directory: Path, pipeline: Any, signature: Signature, rows: list[list[Any]]
) -> str:
    """Write the compiled tables; why there are none where there are none."""
    from ml_assets.serving.compiler import NotCompiled, compile_pipeline

    try:
        program, tables = compile_pipeline(pipeline, signature, rows)
    except NotCompiled as error:
        return str(error)
    except Exception as error:
        # A fault of the compiler costs speed, and not the version.
        return f"the compiler failed: {error!r}"
    write_bytes(directory / PROGRAM, encode(program))
    write_bytes(directory / TABLES, tables)
    return ""


def load_pipeline(directory: Path, files: Mapping[str, str]) -> Any:
    """The fitted scikit-learn pipeline of a bundle.

    Raises
    ------
    BundleError
        If a file is missing or altered, or names a foreign type, or the library of a
        booster is not installed.
    """
    from ml_assets.core.trusted import UntrustedError

    try:
        return load_model(lambda name: read_verified(directory, name, files))
    except UntrustedError as error:
        raise BundleError(f"{directory / MODEL}: {error}") from error


def _decode(
    directory: Path, files: Mapping[str, str], name: str, kind: type[Any]
) -> Any:
    data = read_verified(directory, name, files)
    try:
        return from_json(data, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"{directory / name}: {error}") from error


def _dump(pipeline: Any) -> tuple[dict[str, bytes], list[str]]:
    """The model's files, and the classes of the project's own in it."""
    from ml_assets.core.trusted import UntrustedError, check_skops

    try:
        files = dump_model(pipeline)
        return files, check_skops(files[MODEL]) if trusted_packages() else []
    except UntrustedError as error:
        raise BundleError(f"the pipeline cannot be packaged: {error}") from error
