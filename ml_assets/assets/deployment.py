"""``<model>/deployment``: the version that serves, put in force by a rollout."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec
from pydantic import Field

from ml_assets.assets.common import key, stage_arguments
from ml_assets.assets.evaluation import gate_figures
from ml_assets.ml.gate import Gate, GateFigures
from ml_assets.model import ModelSpec
from ml_assets.resources.registry import Registry
from ml_assets.serving.plan import Arm, ServingPlan
from ml_assets.storage import storage_root
from ml_assets.targets import Rollout, RolloutError, Target
from ml_assets.targets.local import LocalTarget
from ml_assets.versions import UnknownVersionError, VersionRecord, VersionStore


class DeploymentConfig(dg.Config):
    """Options of a run."""

    version: str | None = Field(
        None,
        description="version to deploy; the newest that passed its gate by default",
    )


class RefusedError(Exception):
    """The version may not be deployed."""


class DoneError(Exception):
    """There is nothing to do: the version was deployed before, or was overtaken."""


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that rolls a version out."""

    @dg.asset(
        **stage_arguments(spec, "deployment", "python"),
        description=f"The version of {spec.name} that answers requests.",
        deps=[key(spec, "evaluation")],
        dagster_type=dg.Nothing,
        output_required=False,
    )
    def deployment(
        context: dg.AssetExecutionContext, config: DeploymentConfig
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        run_id = context.run.run_id
        target = LocalTarget(storage_root())
        try:
            rollout = deploy(spec, target, config.version, run_id)
        except DoneError as reason:
            context.log.info(str(reason))
            yield dg.AssetObservation(
                key(spec, "deployment"), metadata={"skipped": str(reason)}
            )
            return
        except (RefusedError, RolloutError, UnknownVersionError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(rollout.plan.live.version),
            metadata=describe(rollout),
        )

    return dg.Definitions(assets=[deployment])


def deploy(
    spec: ModelSpec, target: Target, version: str | None, run_id: str
) -> Rollout:
    """Put a version that passed its gate in force, once.

    Raises
    ------
    DoneError
        If it was deployed before, or the champion that came meanwhile is better.
    RefusedError
        If it did not pass its gate.
    RolloutError
        If it does not load, or answers otherwise than at training.
    """
    from ml_assets.bundles import fetch_bundle
    from ml_assets.serving.files import BundleError

    store = VersionStore(storage_root())
    with target.lock(spec.name):
        record = _choose(store, spec.name, version)
        before = target.current(spec.name)
        if before is not None and _is_unfinished(store, record, before):
            plan = before
        else:
            _check_not_done(target, record)
            _check_gate(spec, store, record, before)
            try:
                fetch_bundle(record)
            except BundleError as error:
                raise RolloutError(f"version {record.version}: {error}") from error
            plan = next_plan(record, before, run_id)
        rollout = target.apply(plan)
        # Under the lock: of two deployments, the later one labels last.
        label(store, target.history(spec.name))
    return rollout


def _choose(store: VersionStore, model: str, version: str | None) -> VersionRecord:
    if version is not None:
        return store.get(model, version)
    for name in reversed(store.names(model)):
        evaluation = store.evaluation(model, name)
        if evaluation is not None and evaluation["gate"]["passed"]:
            return store.get(model, name)
    raise RefusedError(f"no version of {model} has passed its gate")


def _is_unfinished(
    store: VersionStore, record: VersionRecord, plan: ServingPlan
) -> bool:
    """Whether a run put the version in force and died before the rest was done.

    The profile is the last that a deployment writes.
    """
    path = store.profile_path(record.model, record.version)
    return plan.live.version == record.version and not path.exists()


def _check_not_done(target: Target, record: VersionRecord) -> None:
    for plan in target.history(record.model):
        if plan.live.version == record.version:
            raise DoneError(
                f"version {record.version} was put in force before,"
                f" as plan {plan.generation} of {record.model}"
            )


def _check_gate(
    spec: ModelSpec,
    store: VersionStore,
    record: VersionRecord,
    before: ServingPlan | None,
) -> None:
    """Refuse a version that did not pass, or that today's champion has overtaken."""
    from ml_assets.assets.scoring import held_out_rows, load, score
    from ml_assets.ml.evaluation import evaluate

    evaluation = store.evaluation(spec.name, record.version)
    if evaluation is None:
        raise RefusedError(f"version {record.version} was not evaluated")
    if not evaluation["gate"]["passed"]:
        raise RefusedError(
            f"version {record.version} did not pass its gate:"
            f" {evaluation['gate']['reason']}"
        )
    champion = before.live.version if before else None
    if champion == evaluation["champion"]:
        return
    # Another version was deployed since the evaluation: compare with that one.
    rows, y = held_out_rows(spec, record.features_version)
    found = evaluate(y, score(load(record), rows))
    figures, _ = gate_figures(spec, found, rows, y)
    decision = Gate(spec.gate.model_copy(update={"slices": {}})).decide(figures)
    if not decision.passed:
        raise DoneError(
            f"version {record.version} was overtaken by {champion}: {decision.reason}"
        )
    if champion is not None and _is_late(spec, record, champion, figures):
        raise DoneError(
            f"version {record.version} was overtaken by {champion}, which is newer and"
            f" has the same {spec.gate.metric}"
        )


def _is_late(
    spec: ModelSpec, record: VersionRecord, champion: str, figures: GateFigures
) -> bool:
    """Whether the champion is newer and just as good: the order of runs is chance."""
    metric = spec.gate.metric
    equal = figures.metrics.get(metric) == figures.champion_metrics.get(metric)
    return equal and record.version < champion


def next_plan(
    record: VersionRecord, before: ServingPlan | None, run_id: str
) -> ServingPlan:
    """The plan after `before` in which the version alone serves."""
    arm = Arm(
        version=record.version,
        bundle=record.bundle,
        files=record.files,
        runtime="compiled" if record.runtime == "compiled" else "sklearn",
    )
    return ServingPlan(
        model=record.model,
        generation=before.generation + 1 if before else 1,
        arms=(arm,),
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        reason=f"version {record.version} passed its gate",
        run_id=run_id,
    )


def label(store: VersionStore, history: list[ServingPlan]) -> None:
    """Mirror the two newest plans in the registry's aliases."""
    numbers = [
        store.get(plan.model, plan.live.version).registry_version
        for plan in history[-2:]
    ]
    previous = numbers[0] if len(numbers) > 1 else None
    Registry().label(history[-1].model, numbers[-1], previous)


def describe(rollout: Rollout) -> dict[str, Any]:
    """What the UI shows of a rollout."""
    plan = rollout.plan
    return {
        "version": plan.live.version,
        "generation": plan.generation,
        "runtime": plan.live.runtime,
        "servers": rollout.servers,
        "reason": plan.reason,
        "plan": dg.MetadataValue.json(msgspec.to_builtins(plan)),
    }
