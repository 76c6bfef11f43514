"""``<model>/evaluation``: how good a version is, and whether it passes the gate."""

import math
from dataclasses import replace
from typing import Any

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    keep_plots,
    key,
    markdown_table,
    skipped,
    stage_arguments,
)
from ml_assets.lifecycle.gate_decision import gate_figures, judged_by
from ml_assets.lifecycle.scoring import HeldOut, evaluate, held_out_rows, load, score
from ml_assets.ml.gate import Gate, GateDecision
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.version import VersionRecord, object_name
from ml_assets.spec.model import ModelSpec
from ml_assets.state.registry import Registry
from ml_assets.state.versions import Versions

GATE_CHECK = "gate"


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that scores the held-out rows, and its gate check."""
    evaluation_key = key(spec, "evaluation")
    gate = dg.AssetCheckSpec(
        GATE_CHECK,
        asset=evaluation_key,
        description=(
            f"{_demands(spec)}, better than the best constant answer beyond chance, and"
            " not worse than the champion on rows that neither was trained on."
        ),
    )

    @dg.asset(
        **stage_arguments(spec, "evaluation", "scikitlearn"),
        description=f"Figures of the newest version of {spec.name} on held-out rows.",
        deps=[key(spec, "model")],
        check_specs=[gate],
        **MAY_SKIP,
    )
    def evaluation(
        context: dg.AssetExecutionContext,
    ) -> Events:
        store, run_id = Versions(), context.run.run_id
        # What the run trained, else the newest.
        record = store.of_run(spec.name, run_id) or store.newest(spec.name)
        if record is None:
            reason = f"{spec.name} has no version to evaluate"
            yield skipped(spec, "evaluation", reason)
            yield dg.AssetCheckResult(
                check_name=GATE_CHECK,
                asset_key=evaluation_key,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=reason,
            )
            return
        held, pipeline = held_out_rows(spec, record), load(record)
        figures, decision, found, metadata = judge(spec, record, held, pipeline)
        for clause in decision.clauses:
            report = context.log.info if clause.passed else context.log.warning
            report(f"gate, {clause.name}: {clause.sentence}")
        Registry().log_metrics(
            record.registry_run,
            {
                name: value
                for name, value in found["metrics"].items()
                if value is not None
            },
        )
        store.save_evaluation(
            spec.name,
            record.version,
            {
                "figures": figures.to_dict(),
                "gate": decision.to_dict(),
                "metrics": found["metrics"],
                "evaluation": found,
                "champion": figures.champion,
                "judged_by": judged_by(spec),
            },
        )
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(record.version),
            metadata={
                "version": record.version,
                **metadata,
                "figures": dg.MetadataValue.json(figures.to_dict()),
            },
            check_results=[_check(spec, record, figures, decision)],
        )

    return dg.Definitions(assets=[evaluation])


def judge(
    spec: ModelSpec,
    record: VersionRecord,
    held: HeldOut,
    pipeline: Any,
) -> tuple[GateFigures, GateDecision, dict[str, Any], dict[str, Any]]:
    """Figures, the gate's decision, the whole evaluation, and metadata for the UI."""
    from ml_assets.lifecycle.request_signature import refused_by
    from ml_assets.ml.importance import importances

    rows, y, task, _ = held
    answers = score(task, pipeline, rows)
    sliced = sorted({*spec.gate.slices, *spec.monitoring.slices} & {*rows.columns})
    groups = rows[sliced] if sliced else None
    found = evaluate(spec, held, answers, groups)
    figures = gate_figures(spec, record, found)
    figures = replace(figures, refuses=refused_by(spec.name, record))
    decision = Gate(spec.gate).decide(figures)
    inputs = rows[list(pipeline.feature_names_in_)]
    importance = importances(pipeline, inputs, y, task)
    images = task.plots(y, answers, found, importance)
    whole = found.to_dict()
    metadata: dict[str, Any] = {"gate": dg.MetadataValue.md(_clauses(decision))}
    metadata |= {
        name: round(value, 6)
        for name, value in whole["metrics"].items()
        if value is not None
    }
    metadata |= {"task": task.name, "test_rows": len(y)}
    if spec.decision is not None:
        metadata["threshold"] = whole["threshold"]
    metadata |= keep_plots(object_name(spec.name, record.version, "plots/"), images)
    if found.slices:
        metadata["slices"] = dg.MetadataValue.md(_slices(found))
    if figures.problem:
        metadata["champion_problem"] = figures.problem
    return figures, decision, whole, metadata


def _demands(spec: ModelSpec) -> str:
    asked = [
        f"{metric} {'below' if spec.gate.lower_is_better(metric) else 'above'} {limit}"
        for metric, limit in spec.gate.demands.items()
    ]
    return " and ".join(asked)


def _check(
    spec: ModelSpec,
    record: VersionRecord,
    figures: GateFigures,
    decision: GateDecision,
) -> dg.AssetCheckResult:
    # Shown as curves over the versions; NaN cannot be.
    shown: dict[str, Any] = {
        metric: figures.metrics[metric]
        for metric in spec.gate.demands
        if not math.isnan(figures.metrics.get(metric, math.nan))
    }
    return dg.AssetCheckResult(
        check_name=GATE_CHECK,
        asset_key=key(spec, "evaluation"),
        passed=decision.passed,
        # A rejected version is a result, not a failed run.
        severity=dg.AssetCheckSeverity.WARN,
        description=f"version {record.version}: {decision.reason}",
        metadata={
            "version": record.version,
            **shown,
            "clauses": dg.MetadataValue.md(_clauses(decision)),
        },
    )


def _clauses(decision: GateDecision) -> str:
    lines = ["| clause | passed | figures |", "| --- | --- | --- |"]
    for clause in decision.clauses:
        verdict = "yes" if clause.passed else "**no**"
        lines.append(f"| {clause.name} | {verdict} | {clause.sentence} |")
    return "\n".join(lines)


def _slices(found: Any) -> str:
    import pandas as pd

    frame = pd.DataFrame([vars(row) for row in found.slices])
    return markdown_table(frame.round(4))
