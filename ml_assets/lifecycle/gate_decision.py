"""What the gate of today's YAML decides on a version beside today's champion."""

import itertools
from collections.abc import Collection, Mapping
from typing import Any

from ml_assets.core import provenance
from ml_assets.core.user_code import source_digests
from ml_assets.lifecycle.comparison import compare
from ml_assets.ml.gate import Gate, GateDecision
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans


def gate_figures(spec: ModelSpec, record: VersionRecord, found: Any) -> GateFigures:
    """The gate's figures of a version, with those of the champion on the same rows.

    Parameters
    ----------
    found : Evaluation
        Of the version, from `ml_assets.ml.evaluation.evaluate`.
    """
    plan = Plans().current(spec.name)
    if plan is None:
        figures: GateFigures = found.gate_figures()
        return figures
    compared = compare(spec, record, plan.live.version)
    figures = found.gate_figures(**compared._asdict())
    return figures


def decision_on(spec: ModelSpec, evaluation: Mapping[str, Any]) -> GateDecision:
    """What today's gate decides on a stored evaluation."""
    return Gate(spec.gate).decide(GateFigures.from_dict(evaluation["figures"]))


def passed(
    spec: ModelSpec,
    evaluation: Mapping[str, Any] | None,
    overruled: Collection[str] = (),
) -> bool:
    """Whether a version with that evaluation is to be deployed.

    Clauses that were `overruled` do not count.
    """
    if evaluation is None:
        return False
    return decision_on(spec, evaluation).without(overruled).deploys


def judged_by(spec: ModelSpec) -> str:
    """Hash of the gate, slices and own metrics that an evaluation was made with."""
    code = source_digests(spec.metrics)
    return provenance.fingerprint(
        provenance.spec_hash(spec.gate),
        *sorted(spec.monitoring.slices),
        *spec.metrics,
        *itertools.chain.from_iterable(code.items()),
    )


def is_judged_otherwise(spec: ModelSpec, evaluation: Mapping[str, Any]) -> bool:
    """Whether the gate would be asked something else than it was.

    The YAML asks for something else, or a version that was refused beside one champion
    has another one now.
    """
    if evaluation.get("judged_by") != judged_by(spec):
        return True
    plan = Plans().current(spec.name)
    champion = plan.live.version if plan else None
    return not evaluation["gate"]["passed"] and champion != evaluation["champion"]
