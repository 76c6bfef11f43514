"""``<model>/deployment``: the version that serves, put in force by a rollout."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec
from pydantic import Field

from ml_assets.assets.common import MAY_SKIP, key, stage_arguments, who_runs
from ml_assets.assets.evaluation import decision_on, gate_figures, passed
from ml_assets.assets.retries import retrying, verdict
from ml_assets.deployments import evidence_of, finish, mirror, put_in_force
from ml_assets.ledger import Kind, Ledger, held
from ml_assets.ml.gate import Gate, GateFigures
from ml_assets.model import ModelSpec
from ml_assets.serving.plan import ServingPlan
from ml_assets.storage import storage_root
from ml_assets.strategy import challenge
from ml_assets.targets import Rollout, RolloutError, Target, UnreachableError
from ml_assets.targets.choose import target
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
        **MAY_SKIP,
    )
    def deployment(
        context: dg.AssetExecutionContext, config: DeploymentConfig
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        run_id, who = context.run.run_id, who_runs(context)
        try:
            with retrying(context):
                rollout = deploy(spec, target(), config.version, run_id, who)
        except DoneError as reason:
            context.log.info(str(reason))
            yield dg.AssetObservation(
                key(spec, "deployment"), metadata={"skipped": str(reason)}
            )
            return
        except (RefusedError, RolloutError, UnknownVersionError) as error:
            raise verdict(context, error) from error
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(newest_of(rollout.plan)),
            metadata=describe(rollout),
        )

    return dg.Definitions(assets=[deployment])


def deploy(
    spec: ModelSpec, target: Target, version: str | None, run_id: str, who: str
) -> Rollout:
    """Put a version that passed its gate in force, once.

    A refusal is written into the ledger as well.

    Raises
    ------
    DoneError
        If it was deployed before, the champion that came meanwhile is better, or no
        version was named and none has passed.
    RefusedError
        If it did not pass its gate, or is on hold.
    RolloutError
        If it does not load, or answers otherwise than at training.
    UnreachableError, RegistryError
        If the cluster, the database or the registry does not answer: ask again.
    """
    store = VersionStore(storage_root())
    with target.lock(spec.name):
        finish(target, spec.name)
        record = _choose(store, spec, version)
        try:
            rollout = _deploy(spec, target, store, record, run_id, who)
        except UnreachableError:
            # Nothing is known of the version.
            raise
        except (RefusedError, RolloutError) as error:
            Ledger(storage_root()).append(
                spec.name,
                "refusal",
                record.version,
                None,
                who=who,
                why=str(error),
                evidence=evidence_of(record),
                key=f"refusal:{record.version}:{run_id}",
            )
            raise
        mirror(target, spec.name)
    return rollout


def _deploy(
    spec: ModelSpec,
    target: Target,
    store: VersionStore,
    record: VersionRecord,
    run_id: str,
    who: str,
) -> Rollout:
    from ml_assets.bundles import fetch_bundle
    from ml_assets.serving.files import BundleError

    before = target.current(spec.name)
    if before is not None and _is_unfinished(store, record, before):
        plan = before
    else:
        # Who asks for a version on hold is told so, whatever else is true of it.
        _check_not_held(record)
        _check_not_done(target, record, before)
        _check_gate(spec, store, record, before)
        try:
            fetch_bundle(record)
        except BundleError as error:
            raise RolloutError(f"version {record.version}: {error}") from error
        reason = _reason(spec, record, before)
        plan = challenge(before, record, spec.serving, reason, run_id)
    evidence = evidence_of(record)
    key = f"deployment:{record.version}"
    kind: Kind = "experiment" if plan.experiment else "deployment"
    return put_in_force(target, plan, kind, who, plan.reason, evidence, key)


def _reason(spec: ModelSpec, record: VersionRecord, before: ServingPlan | None) -> str:
    """Why the plan is made; it says so if it ends an experiment."""
    reason = f"version {record.version} passed its gate"
    if before is None or spec.serving.strategy == "rolling":
        return reason
    reason += f", {spec.serving.strategy} beside {before.live.version}"
    if before.experiment is not None:
        reason += f"; it takes the place of the challenger {before.experiment}"
    return reason


def _choose(store: VersionStore, spec: ModelSpec, version: str | None) -> VersionRecord:
    model = spec.name
    if version is not None:
        return store.get(model, version)
    on_hold = held(Ledger(store.root).entries(model))
    for name in reversed(store.names(model)):
        if name not in on_hold and passed(spec, store.evaluation(model, name)):
            return store.get(model, name)
    # Nobody asked for a certain version, so that there is none is no failure.
    raise DoneError(f"no version of {model} has passed its gate")


def _is_unfinished(
    store: VersionStore, record: VersionRecord, plan: ServingPlan
) -> bool:
    """Whether a run put the version in force and died before the rest was done.

    The profile is the last that a deployment writes.
    """
    path = store.profile_path(record.model, record.version)
    return newest_of(plan) == record.version and not path.exists()


def _check_not_done(
    target: Target, record: VersionRecord, before: ServingPlan | None
) -> None:
    for plan in target.history(record.model):
        if plan.live.version == record.version:
            raise DoneError(
                f"version {record.version} was put in force before,"
                f" as plan {plan.generation} of {record.model}"
            )
        if plan.experiment == record.version:
            raise DoneError(
                f"version {record.version} was tried before,"
                f" in plan {plan.generation} of {record.model}"
            )
    challenger = before.experiment if before else None
    if challenger is not None and record.version < challenger:
        raise DoneError(
            f"version {record.version} was overtaken by the challenger {challenger},"
            " which is newer"
        )


def _check_not_held(record: VersionRecord) -> None:
    entry = held(Ledger(storage_root()).entries(record.model)).get(record.version)
    if entry is not None:
        raise RefusedError(
            f"version {record.version} is on hold since {entry.time}: {entry.why};"
            f" `ml-assets release {record.model} {record.version}` takes it off"
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
    decision = decision_on(spec, evaluation)
    if decision.to_dict() != evaluation["gate"]:
        # The YAML asks for something else now; the ledger tells of what decides.
        evaluation = {**evaluation, "gate": decision.to_dict()}
        store.save_evaluation(spec.name, record.version, evaluation)
    if not decision.passed:
        raise RefusedError(
            f"version {record.version} did not pass its gate: {decision.reason}"
        )
    if decision.repeats:
        raise DoneError(f"version {record.version}: {decision.reason}")
    champion = before.live.version if before else None
    if champion == evaluation["champion"]:
        return
    # Another version was deployed since the evaluation: compare with that one.
    rows, y = held_out_rows(spec, record)
    found = evaluate(y, score(load(record), rows))
    figures = gate_figures(spec, record, found)
    decision = Gate(spec.gate.model_copy(update={"slices": {}})).decide(figures)
    if not decision.deploys:
        raise DoneError(
            f"version {record.version} was overtaken by {champion}: {decision.reason}"
        )
    if champion is not None and _is_late(spec, record, champion, figures):
        raise DoneError(
            f"version {record.version} was overtaken by {champion}, which is newer and"
            f" has the same {spec.gate.main}"
        )


def _is_late(
    spec: ModelSpec, record: VersionRecord, champion: str, figures: GateFigures
) -> bool:
    """Whether the champion is newer and just as good: the order of runs is chance."""
    metric, own = spec.gate.main, figures.own_metrics or figures.metrics
    equal = own.get(metric) == figures.champion_metrics.get(metric)
    return equal and record.version < champion


def newest_of(plan: ServingPlan) -> str:
    """The version that a plan brought: its challenger, else the one that serves."""
    return plan.experiment or plan.live.version


def describe(rollout: Rollout) -> dict[str, Any]:
    """What the UI shows of a rollout."""
    plan = rollout.plan
    tried = {"challenger": plan.experiment} if plan.experiment else {}
    return {
        **tried,
        "version": plan.live.version,
        "generation": plan.generation,
        "runtime": plan.live.runtime,
        "servers": rollout.servers,
        "reason": plan.reason,
        "plan": dg.MetadataValue.json(msgspec.to_builtins(plan)),
    }
