"""``<model>/deployment``: the version that serves, activated by a rollout."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import msgspec
from pydantic import Field

from ml_assets.assets.common import MAY_SKIP, key, stage_arguments, who_runs
from ml_assets.assets.deployment_checks import (
    DoneError,
    RefusedError,
    check_gate,
    check_not_done,
    check_not_held,
)
from ml_assets.assets.evaluation import passed
from ml_assets.assets.retries import retrying, verdict
from ml_assets.core.storage import storage_root
from ml_assets.lifecycle.activation import activate, evidence_of, finish, mirror
from ml_assets.lifecycle.strategy import challenge
from ml_assets.ml.gate import INTERFACE
from ml_assets.records.ledger_entry import Kind
from ml_assets.records.plan import ServingPlan
from ml_assets.records.signature import summary
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger, held
from ml_assets.state.versions import UnknownVersionError, VersionRecord, VersionStore
from ml_assets.targets import (
    Rollout,
    RolloutError,
    Target,
    UnreachableError,
    configured_target,
)


class DeploymentConfig(dg.Config):
    """Options of a run."""

    version: str | None = Field(
        None, description="by default the newest that passed its gate"
    )
    accept_interface_change: bool = Field(
        False, description="also a version that refuses requests that are taken now"
    )


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
                overruled = [INTERFACE] if config.accept_interface_change else []
                rollout = deploy(
                    spec, configured_target(), config.version, run_id, who, overruled
                )
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
    spec: ModelSpec,
    target: Target,
    version: str | None,
    run_id: str,
    who: str,
    overruled: Sequence[str] = (),
) -> Rollout:
    """Activate a version that passed its gate, once.

    A refusal is written into the ledger as well. Clauses of the gate in `overruled` are
    not asked.

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
        record = _choose(store, spec, version, overruled)
        try:
            rollout = _deploy(spec, target, store, record, run_id, who, overruled)
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
    overruled: Sequence[str],
) -> Rollout:
    from ml_assets.core.digests import BundleError
    from ml_assets.lifecycle.interface import refused_by
    from ml_assets.state.bundles import fetch_bundle

    before = target.current(spec.name)
    if before is not None and _is_unfinished(store, record, before):
        plan = before
    else:
        # Who asks for a version on hold is told so, whatever else is true of it.
        check_not_held(record)
        check_not_done(target, record, before)
        check_gate(spec, store, record, before, overruled)
        try:
            fetch_bundle(record)
            changes = summary(refused_by(spec.name, record))
        except BundleError as error:
            raise RolloutError(f"version {record.version}: {error}") from error
        if changes and INTERFACE not in overruled:
            raise RefusedError(
                f"version {record.version} answers requests otherwise than the one that"
                f" serves: {changes}; --accept-interface-change deploys it all the same"
            )
        reason = _reason(spec, record, before)
        reason += f"; accepted with it: {changes}" if changes else ""
        plan = challenge(before, record, spec.serving, reason, run_id)
    evidence = evidence_of(record)
    key = f"deployment:{record.version}"
    kind: Kind = "experiment" if plan.experiment else "deployment"
    return activate(target, plan, kind, who, plan.reason, evidence, key)


def _reason(spec: ModelSpec, record: VersionRecord, before: ServingPlan | None) -> str:
    """Why the plan is made; it says so if it ends an experiment."""
    reason = f"version {record.version} passed its gate"
    if before is None or spec.serving.strategy == "rolling":
        return reason
    reason += f", {spec.serving.strategy} beside {before.live.version}"
    if before.experiment is not None:
        reason += f"; it takes the place of the challenger {before.experiment}"
    return reason


def _choose(
    store: VersionStore, spec: ModelSpec, version: str | None, overruled: Sequence[str]
) -> VersionRecord:
    model = spec.name
    if version is not None:
        return store.get(model, version)
    on_hold = held(Ledger(store.root).entries(model))
    for name in reversed(store.names(model)):
        if name in on_hold:
            continue
        if passed(spec, store.evaluation(model, name), overruled):
            return store.get(model, name)
    # Nobody asked for a certain version, so that there is none is no failure.
    raise DoneError(f"no version of {model} has passed its gate")


def _is_unfinished(
    store: VersionStore, record: VersionRecord, plan: ServingPlan
) -> bool:
    """Whether a run activated the version and died before the rest was done.

    The profile is the last that a deployment writes.
    """
    path = store.profile_path(record.model, record.version)
    return newest_of(plan) == record.version and not path.exists()


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
