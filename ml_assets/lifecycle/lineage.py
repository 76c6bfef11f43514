"""Where an answer came from: version, data, code, checks and the decision to serve it.

Every object and row that is named was compared with the SHA-256 written when it was
made.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ml_assets.core.digests import BundleError, digest_of
from ml_assets.core.files import home
from ml_assets.core.storage import storage
from ml_assets.prediction_log.lookup import Logged, find
from ml_assets.records.ledger_entry import Entry
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.records.version import VersionRecord
from ml_assets.state.bundles import signature_of
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import VALIDATION, UnknownVersionError, Versions

# Kinds of entry that activate a plan.
ACTIVATES = ("deployment", "promotion", "rollback", "experiment")


class LineageError(LookupError):
    """The prediction is in no log, or what made it is gone."""


def lineage(prediction_id: str) -> dict[str, Any]:
    """Everything that led to one answer, as JSON knows it.

    Returns
    -------
    dict
        ``id``, ``model``, ``answer``, ``shadow``, ``input``, ``version``, ``training``,
        ``data``, ``validation``, ``gate``, ``plan``, ``ledger``, ``hashes`` and
        ``problems``: a text for each hash that does not match and each thing that is
        missing; empty where all is as it was written.

    Raises
    ------
    LineageError
        If no log has the id, or its version was removed.
    """
    try:
        logged = find(home(), storage(), prediction_id)
    except (ValueError, OverflowError) as error:
        raise LineageError(f"{prediction_id} is no prediction id: {error}") from error
    if logged is None:
        raise LineageError(
            f"no log has prediction {prediction_id}: neither segments below {home()}"
            f" and {storage().url}, nor predictions of its day; it was not logged"
            " (serving.log_sample) or has expired (retention.predictions_days)"
        )
    line = logged.records[0]
    try:
        record = Versions().get(logged.model, line["version"])
    except UnknownVersionError as error:
        raise LineageError(f"prediction {prediction_id}: {error}") from error
    return _explained(logged, record)


def _explained(logged: Logged, record: VersionRecord) -> dict[str, Any]:
    line, model = logged.records[0], logged.model
    store = Versions()
    evaluation = store.evaluation(model, record.version) or {}
    validation = store.document(model, record.version, VALIDATION)
    plan = _plan(model, line["generation"])
    entries = _entries(model, line["generation"])
    # The latest on the version itself: a plan may be about another one, under test.
    about = [entry for entry in entries if entry.version == record.version]
    entry = about[-1] if about else None
    hashes = list(_hashes(record, plan, entries))
    return {
        "id": line["id"],
        "model": model,
        "answer": _answer(line) | {"log": logged.where},
        "shadow": [_answer(other) for other in logged.records[1:]],
        "input": _input(record, line["x"]),
        "version": _version(record),
        "training": _training(record),
        "data": {
            "raw_version": record.raw_version,
            "features_version": record.features_version,
            "train_rows": record.train_rows,
            "test_rows": record.test_rows,
        },
        "validation": validation["summary"] if validation else None,
        "metrics": evaluation.get("metrics"),
        "gate": evaluation.get("gate"),
        "plan": msgspec.to_builtins(plan) if plan else None,
        "ledger": msgspec.to_builtins(entry) if entry else None,
        "hashes": hashes,
        "problems": list(_problems(line, plan, entry, hashes, model)),
    }


def _answer(line: Mapping[str, Any]) -> dict[str, Any]:
    # Of several classes, of a regression, and where keys are needed.
    more = {name: line.get(name) for name in ("probabilities", "value", "caller")}
    return {name: found for name, found in more.items() if found is not None} | {
        "label": line.get("label"),
        "probability": line.get("p"),
        "time": line["time"],
        "version": line["version"],
        "arm": line["arm"],
        "generation": line["generation"],
        "entity": line.get("entity"),
        "request": line["request"],
        "microseconds": line.get("us"),
        "error": line.get("error"),
    }


def _input(record: VersionRecord, values: list[Any]) -> dict[str, Any]:
    """The row with its column names, which the version's signature has."""
    try:
        signature = signature_of(record)
    except BundleError as error:
        raise LineageError(f"the columns of the row are not known: {error}") from error
    names = [column.name for column in signature.columns]
    return dict(zip(names, values, strict=True))


def _version(record: VersionRecord) -> dict[str, Any]:
    return {
        "version": record.version,
        "estimator": record.estimator,
        "params": record.params,
        "runtime": record.runtime,
        "registry_uri": record.registry_uri,
        "registry_version": record.registry_version,
    }


def _training(record: VersionRecord) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "registry_run": record.registry_run,
        "git_commit": record.git_commit,
        "code_version": record.code_version,
        "user_code": record.user_code,
        "environment": record.environment,
        "seconds": record.fit_seconds,
    }


def _plan(model: str, generation: int) -> ServingPlan | None:
    try:
        return Plans().read(model, generation)
    except LookupError:
        return None


def _entries(model: str, generation: int) -> list[Entry]:
    """The decisions by which plans became active, up to that of `generation`."""
    return [
        entry
        for entry in Ledger().entries(model)
        if entry.kind in ACTIVATES
        and entry.generation is not None
        and entry.generation <= generation
    ]


def _hashes(
    record: VersionRecord, plan: ServingPlan | None, entries: list[Entry]
) -> Iterator[dict[str, Any]]:
    """Each thing that made the answer, the SHA-256 that it should have and has."""
    rows = Versions().digests(record.model, record.version)
    expected = {f"{record.bundle}/{name}": sha for name, sha in record.files.items()}
    expected |= record.origins
    for entry in entries:
        if entry.version == record.version:
            expected |= entry.evidence.get("sha256", {})
        if plan is not None and entry.generation == plan.generation:
            name = f"plans/{plan.model}/{plan.generation:08d}.json"
            expected[name] = entry.evidence.get("plan_sha256", "")
            rows[name] = digest(plan)
    for name, wanted in sorted(expected.items()):
        yield _hash(name, wanted, rows.get(name) or digest_of(storage(), name))


def _hash(name: str, wanted: str, found: str | None) -> dict[str, Any]:
    return {
        "path": name,
        "expected": wanted,
        "found": found,
        "matches": found == wanted,
    }


def _problems(
    line: Mapping[str, Any],
    plan: ServingPlan | None,
    entry: Entry | None,
    hashes: list[dict[str, Any]],
    model: str,
) -> Iterator[str]:
    for item in hashes:
        if item["found"] is None:
            yield f"{item['path']} is missing"
        elif not item["matches"]:
            yield (
                f"{item['path']} was altered: its SHA-256 is {item['found']}, expected"
                f" {item['expected']}"
            )
    if plan is None:
        yield f"plan {line['generation']} of {model} is missing"
    elif line["version"] not in [arm.version for arm in plan.arms]:
        yield f"plan {plan.generation} of {model} has no version {line['version']}"
    if entry is None:
        yield f"no entry in the ledger of {model} let version {line['version']} through"
    yield from (f"ledger: {found.message}" for found in Ledger().verify(model))
