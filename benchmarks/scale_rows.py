"""Models, versions, plans and decisions of `benchmarks.scale`, without any training."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import dagster as dg
import msgspec

from benchmarks.many_models import name_of
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.ledger_entry import START, canonical
from ml_assets.records.plan import STAMP, Arm, ServingPlan, digest, encode
from ml_assets.spec.model import ModelSpec
from ml_assets.state import schema
from ml_assets.state.engine import writing
from ml_assets.state.plans import Plans
from ml_assets_tests.kits.cli import record

FIRST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def specs(models: int) -> list[ModelSpec]:
    """What the YAML of each model says."""
    given = {"source": {"type": "synthetic"}, "target": "target"}
    return [
        ModelSpec.model_validate({"name": name_of(number), **given})
        for number in range(models)
    ]


def evaluate(instance: dg.DagsterInstance, models: Mapping[str, Any]) -> None:
    """One evaluation and one drift report of each model, in the event log."""
    figures = GateFigures(n=9, metrics={"accuracy": 0.5}, majority={"accuracy": 0.4})
    judged = {"version": "v", "figures": dg.MetadataValue.json(figures.to_dict())}
    for model in models:
        for stage, metadata in (("evaluation", judged), ("drift", {"drifted": False})):
            event = dg.AssetMaterialization([model, stage], metadata=metadata)
            instance.report_runless_asset_event(event)


def _plan(model: str, generation: int) -> ServingPlan:
    version = _version(generation)
    bundle = f"versions/{model}/{version}/bundle"
    # As many as a bundle of a compiled version has.
    files = {f"arrays/{number}.npy": f"{number:064d}" for number in range(20)}
    arm = Arm(version=version, bundle=bundle, files=files, runtime="compiled")
    return ServingPlan(
        model=model,
        generation=generation,
        created_at=FIRST.isoformat(),
        reason="so",
        arms=(arm,),
    )


def next_plan(model: str) -> ServingPlan:
    """The plan after the active one."""
    plan = Plans().current(model)
    return _plan(model, 1 if plan is None else plan.generation + 1)


def _version(number: int) -> str:
    return (FIRST + dt.timedelta(hours=number)).strftime(STAMP)


def fill(models: int, versions: int, entries: int, chosen: str) -> None:
    """A plan and ten versions of each model; of one, so many versions and entries.

    Each of its versions was in service, so that it has as many plans.
    """
    names = [name_of(number) for number in range(models)]
    evaluation = {
        "figures": {"metrics": {"accuracy": 0.9}},
        "metrics": {"accuracy": 0.9},
        "gate": {"passed": True, "reason": "so", "clauses": []},
    }
    made = [
        {
            "model": name,
            "version": _version(number),
            "owner": f"{name}-{number}",
            "reserved": 0.0,
            "registry_version": str(number),
            "record": msgspec.json.encode(record(name, _version(number))).decode(),
            "evaluation": msgspec.json.encode(evaluation).decode(),
        }
        for name in names
        for number in range(versions if name == chosen else 10)
    ]
    activated = [
        _plan(name, generation)
        for name in names
        for generation in range(1, 1 + (versions if name == chosen else 1))
    ]
    stored = [
        {
            "model": plan.model,
            "generation": plan.generation,
            "digest": digest(plan),
            "plan": encode(plan).decode(),
            "published": True,
        }
        for plan in activated
    ]
    with writing("all") as connection:
        connection.execute(schema.versions.insert(), made)
        connection.execute(schema.plans.insert(), stored)
        for name in names:
            rows = _decisions(name, entries if name == chosen else 10)
            connection.execute(schema.ledger.insert(), rows)
            head = {"model": name, "seq": len(rows), "hash": rows[-1]["hash"]}
            connection.execute(schema.ledger_heads.insert(), head)


def _decisions(model: str, count: int) -> list[dict[str, Any]]:
    """Rows as `ledger.append` makes them one by one, in less time."""
    rows: list[dict[str, Any]] = []
    digest = START
    for seq in range(1, count + 1):
        named = {"model": model, "seq": seq, "kind": "deployment", "key": None}
        named["version"] = _version(seq % 10)
        rest = {"generation": seq, "who": "ana", "why": "so", "evidence": {}}
        body = {**named, **rest, "time": FIRST.isoformat(), "previous": digest}
        line = canonical(body)
        digest = hashlib.sha256(line).hexdigest()
        rows.append({**named, "line": line.decode(), "hash": digest})
    return rows
