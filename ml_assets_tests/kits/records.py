"""A version with its files, plan and ledger entry, without training one."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.files import sha256_file, write_bytes, write_json
from ml_assets.lifecycle.activation import evidence_of
from ml_assets.lifecycle.plan_transitions import live_plan
from ml_assets.records.plan import Column, ServingPlan, Signature, digest, encode
from ml_assets.records.version import VersionRecord
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.schema import contracts
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.plans import commit

SIGNATURE = Signature(
    columns=(
        Column(name="months", kind="number"),
        Column(name="plan", kind="string"),
        Column(name="spend", kind="number", nullable=True),
    ),
    target="churned",
    negative="no",
    positive="yes",
)


def add_version(root: Path, version: str, **given: Any) -> VersionRecord:
    """A version that passed its gate, made of tables of its own."""
    store = Versions()
    directory = root / "versions/churn" / version
    (directory / "bundle").mkdir(parents=True)
    (directory / "bundle/signature.json").write_bytes(encode(SIGNATURE))
    (directory / "bundle/model.skops").write_bytes(version.encode())
    raw, features = given.get("raw", f"raw{version}"), f"features{version}"
    write_bytes(root / f"tables/churn/raw/{raw}.parquet", raw.encode())
    write_bytes(root / f"tables/churn/features/{features}.parquet", version.encode())
    write_json(directory / "spec.json", {"name": "churn"})
    write_json(directory / "validation.json", {"summary": {"passed": True}})
    write_json(root / f"reports/churn/validation/{raw}.json", {})
    origins = [
        f"tables/churn/raw/{raw}.parquet",
        f"tables/churn/features/{features}.parquet",
        f"versions/churn/{version}/spec.json",
        f"versions/churn/{version}/validation.json",
    ]
    record = VersionRecord(
        model="churn",
        version=version,
        files={
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (directory / "bundle").iterdir()
        },
        runtime="compiled",
        runtime_reason="",
        fingerprint="f",
        raw_version=raw,
        features_version=features,
        code_version="code",
        git_commit="commit",
        environment="environment",
        run_id=f"run-{version}",
        registry_uri="u",
        registry_run="m",
        registry_version="1",
        estimator="sklearn.dummy.DummyClassifier",
        params={},
        train_rows=8,
        test_rows=2,
        fit_seconds=0.1,
        origins={name: sha256_file(root / name) for name in origins},
    )
    store.save(record)
    gate = {"passed": True, "reason": "accuracy 0.9 is above 0.8", "clauses": []}
    store.save_evaluation(
        "churn", version, {"gate": gate, "metrics": {"accuracy": 0.9}}
    )
    return record


def serve_version(root: Path, record: VersionRecord, **arms: Any) -> ServingPlan:
    """Activate a version, with its entry, as a deployment would."""
    plan = live_plan(record, Plans().current("churn"), "it passed its gate", "run")
    plan = msgspec.structs.replace(plan, **arms)
    commit(plan)
    Ledger().append(
        "churn",
        "deployment",
        record.version,
        plan.generation,
        who="user ana",
        why="it passed its gate",
        evidence={**evidence_of(record), "plan_sha256": digest(plan)},
    )
    return plan


def forget_contract(model: str) -> None:
    """Remove what the last accepted data looked like, as if there had been none."""
    with writing(model) as connection:
        connection.execute(contracts.delete().where(contracts.c.model == model))
