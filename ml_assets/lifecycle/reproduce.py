"""Train a version again from what was recorded of it, and compare the answers.

Same data, configuration, code and environment must give the same answers, bit for bit,
whatever the number of threads. Code and environment cannot be brought back from here:
where they are not those recorded, a note is made, and the comparison nevertheless.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from ml_assets.core import provenance
from ml_assets.core.digests import BundleError
from ml_assets.core.storage import storage
from ml_assets.core.user_code import source_digests
from ml_assets.lifecycle.feature_table import feature_table
from ml_assets.records.version import VersionRecord, object_name
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.bundles import fetch_bundle, read_file, signature_of
from ml_assets.state.registry import RegistryError
from ml_assets.state.tables import MissingTableError, Tables, table_name
from ml_assets.state.versions import SPEC, Versions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ml_assets.serving.models.bundle import Probe


class ReproduceError(Exception):
    """What the version was made from is not there, or not what it was."""


class Reproduction(NamedTuple):
    """How the answers of a version compare with those of a training repeated today.

    ``probe_rows`` are the rows stored with the version, ``held_out_rows`` those of its
    feature table; of each, how many there are and how many are answered otherwise.
    ``notes`` lists what else is not as it was.
    """

    model: str
    version: str
    identical: bool
    probe_rows: int
    probe_differing: int
    held_out_rows: int
    held_out_differing: int
    largest_difference: float
    notes: list[str]


def reproduce(model: str, version: str) -> Reproduction:
    """Train `version` of `model` again and compare, answer by answer.

    Raises
    ------
    ReproduceError
        If its configuration, a table or its bundle is missing or was altered.
    UnknownVersionError
        If there is no such version.
    """
    from ml_assets.lifecycle.request_signature import answers_of
    from ml_assets.ml.training import train
    from ml_assets.serving.models.bundle import PROBE, Probe, load_pipeline

    record = Versions().get(model, version)
    spec = _in_its_classes(record, _configuration(record).on_this_machine())
    features = _verified(record, "features", record.features_version)
    notes = [*_surroundings(record), *_chain(record, spec)]
    held_out = features[HELD_OUT].to_numpy()
    trained = train(features.drop(columns=HELD_OUT), spec, test=held_out)
    try:
        bundle = fetch_bundle(record)
        stored = load_pipeline(bundle, record.files)
        probe = read_file(record, PROBE, Probe)
        expected, found = _answers(record, probe, trained.pipeline)
    except (BundleError, RegistryError) as error:
        raise ReproduceError(f"version {version}: {error}") from error
    signature, today = signature_of(record), answers_of(trained.task)
    changed = [
        f"the {name} is {today[name]!r} today, then {then!r}"
        for name in ("threshold", "interval")
        if (then := getattr(signature, name)) != today.get(name, then)
    ]
    notes += [*changed, *_machine(probe)]
    before = trained.task.answers(stored, trained.x_test)
    after = trained.task.answers(trained.pipeline, trained.x_test)
    return Reproduction(
        model=model,
        version=version,
        identical=not changed
        and not _differing(expected, found)
        and not _differing(before, after),
        probe_rows=len(expected),
        probe_differing=_differing(expected, found),
        held_out_rows=len(before),
        held_out_differing=_differing(before, after),
        largest_difference=max(_largest(expected, found), _largest(before, after)),
        notes=notes,
    )


def _configuration(record: VersionRecord) -> ModelSpec:
    name = object_name(record.model, record.version, SPEC)
    data, expected = storage().get(name), record.origins.get(name)
    if data is None or expected is None:
        raise ReproduceError(
            f"version {record.version} of {record.model} has no recorded configuration"
            f" ({storage().url}/{name})"
        )
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ReproduceError(
            f"{storage().url}/{name} was altered: its SHA-256 is {found}, expected"
            f" {expected}"
        )
    try:
        return ModelSpec.model_validate(json.loads(data))
    except ValidationError as error:
        problems = "; ".join(item["msg"] for item in error.errors(include_input=False))
        raise ReproduceError(
            f"version {record.version} cannot be trained here: {problems}"
        ) from error


def _in_its_classes(record: VersionRecord, spec: ModelSpec) -> ModelSpec:
    """The configuration with the classes that the version was trained with."""
    from ml_assets.state.bundles import signature_of_version

    try:
        signature = signature_of_version(record)
    except (BundleError, RegistryError) as error:
        raise ReproduceError(f"version {record.version}: {error}") from error
    if signature.task == "multiclass":
        return spec.model_copy(update={"classes": list(signature.classes)})
    return spec.model_copy(update={"positive": signature.positive})


def _verified(record: VersionRecord, stage: str, version: str) -> "pd.DataFrame":
    """A table, verified to have the content of its data version."""
    from ml_assets.ml.tables import content_hash

    store = Tables()
    try:
        table = store.read(record.model, stage, version)
    except MissingTableError as error:
        raise ReproduceError(str(error)) from error
    found = content_hash(table)
    if found != version:
        raise ReproduceError(
            f"{table_name(record.model, stage, version)} was altered: its content has"
            f" the hash {found}, expected {version}"
        )
    return table


def _surroundings(record: VersionRecord) -> list[str]:
    """Where code and environment are not those of then."""
    compared = {
        "code": (record.code_version, provenance.code_hash()),
        "environment": (record.environment, provenance.environment()),
    }
    today = source_digests(record.user_code)
    for package, then in record.user_code.items():
        compared[f"code of {package}"] = then, today.get(package, "none")
    return [
        f"the {name} is not that of the version: {now[:12]}, then {then[:12]}"
        for name, (then, now) in compared.items()
        if now != then
    ]


def _chain(record: VersionRecord, spec: ModelSpec) -> list[str]:
    """Whether today's code makes the same features of the recorded raw data."""
    from ml_assets.ml.tables import content_hash

    if spec.split.source is not None:
        return ["features were not made again: their test rows come from elsewhere"]
    try:
        raw = _verified(record, "raw", record.raw_version)
    except ReproduceError as error:
        return [f"features were not made again: {error}"]
    found = content_hash(feature_table(spec, raw)[0])
    if found == record.features_version:
        return []
    return [
        f"features made of raw data {record.raw_version[:12]} are {found[:12]} today,"
        f" then {record.features_version[:12]}"
    ]


def _machine(probe: "Probe") -> list[str]:
    """Whether another kind of machine may round otherwise."""
    from ml_assets.serving.models.probe import this_machine

    here = this_machine()
    if probe.machine in ("", here):
        return []
    return [f"the machine is not of the kind of then: {here}, then {probe.machine}"]


def _answers(
    record: VersionRecord, probe: "Probe", pipeline: Any
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """The stored answers to the probe rows, and those of `pipeline`."""
    import numpy as np

    from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime

    runtime = SklearnRuntime(pipeline, signature_of(record))
    found = runtime.predict_many(probe.columns)
    return np.array(probe.answers), found


def _differing(one: "NDArray[np.float64]", other: "NDArray[np.float64]") -> int:
    """Rows whose answers are not the same bits."""
    differs = one.view("u8") != other.view("u8")
    return int(differs.reshape(len(differs), -1).any(axis=1).sum())


def _largest(one: "NDArray[np.float64]", other: "NDArray[np.float64]") -> float:
    return float(abs(one - other).max(initial=0.0))
