"""Deploying a version: once, after its gate, and unless it is on hold."""

from collections.abc import Sequence

from ml_assets.lifecycle.activation import activate, evidence_of
from ml_assets.lifecycle.aliases import sync_aliases
from ml_assets.lifecycle.gate_decision import decision_on, gate_figures, passed
from ml_assets.lifecycle.plan_transitions import challenge, live_plan, newest_version
from ml_assets.ml.gate import INTERFACE, Gate
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.ledger_entry import Kind
from ml_assets.records.plan import ServingPlan
from ml_assets.records.signature import summary
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets import Rollout, RolloutError, Target, UnreachableError


class RefusedError(Exception):
    """The version may not be deployed."""


class DoneError(Exception):
    """There is nothing to do: the version was deployed before, or was overtaken."""


def deploy(
    spec: ModelSpec,
    target: Target,
    version: str | None,
    run_id: str,
    who: str,
    overruled: Sequence[str] = (),
) -> Rollout:
    """Activate a version that passed its gate, once.

    A refusal is written into the ledger as well. Clauses of the gate in `overruled` do
    not count.

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
    store = Versions()
    with target.lock(spec.name):
        record = _choose(store, spec, version, overruled)
        try:
            rollout = _deploy(spec, target, store, record, run_id, who, overruled)
        except UnreachableError:
            # Nothing is known of the version.
            raise
        except (RefusedError, RolloutError) as error:
            Ledger().append(
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
        sync_aliases(spec.name)
    return rollout


def _deploy(
    spec: ModelSpec,
    target: Target,
    store: Versions,
    record: VersionRecord,
    run_id: str,
    who: str,
    overruled: Sequence[str],
) -> Rollout:
    from ml_assets.core.digests import BundleError
    from ml_assets.lifecycle.request_signature import refused_by
    from ml_assets.state.bundles import store_bundle

    before, retired = Plans().current(spec.name), Plans().is_retired(spec.name)
    if before is not None and not retired and _is_unfinished(store, record, before):
        plan = before
    else:
        # First, so that a version on hold is refused as such, whatever else is true.
        _check_not_on_hold(record)
        _check_not_done(record, before)
        _check_gate(spec, store, record, before, overruled)
        try:
            store_bundle(record)
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
        if retired:
            # What was retired is no champion to try a version beside.
            share = spec.serving.log_sample
            plan = live_plan(record, before, reason, run_id, share)
        else:
            plan = challenge(before, record, spec.serving, reason, run_id)
    evidence = evidence_of(record)
    key = f"deployment:{record.version}"
    kind: Kind = "experiment" if plan.experiment else "deployment"
    return activate(target, plan, kind, who, plan.reason, evidence, key)


def _reason(spec: ModelSpec, record: VersionRecord, before: ServingPlan | None) -> str:
    """Why the plan is made, and which experiment it ends, if any."""
    reason = f"version {record.version} passed its gate"
    if before is None or spec.serving.strategy == "rolling":
        return reason
    reason += f", {spec.serving.strategy} beside {before.live.version}"
    if before.experiment is not None:
        reason += f"; it takes the place of the challenger {before.experiment}"
    return reason


def _choose(
    store: Versions, spec: ModelSpec, version: str | None, overruled: Sequence[str]
) -> VersionRecord:
    model = spec.name
    if version is not None:
        return store.get(model, version)
    on_hold = Ledger().held(model)
    for name in reversed(store.names(model)):
        if name in on_hold:
            continue
        if passed(spec, store.evaluation(model, name), overruled):
            return store.get(model, name)
    # Nobody asked for a certain version, so that there is none is no failure.
    raise DoneError(f"no version of {model} has passed its gate")


def _is_unfinished(store: Versions, record: VersionRecord, plan: ServingPlan) -> bool:
    """Whether a run activated the version and died before the rest was done.

    The profile is the last that a deployment writes.
    """
    if newest_version(plan) != record.version:
        return False
    return not store.has_profile(record.model, record.version)


def _check_not_done(record: VersionRecord, before: ServingPlan | None) -> None:
    """A version that was in service or on trial before is not put there again."""
    for plan in Plans().history(record.model):
        if plan.live.version == record.version:
            raise DoneError(
                f"version {record.version} was activated before,"
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


def _check_not_on_hold(record: VersionRecord) -> None:
    """Refuse a version that somebody or a rollback put on hold."""
    entry = Ledger().held(record.model).get(record.version)
    if entry is not None:
        raise RefusedError(
            f"version {record.version} is on hold since {entry.time}: {entry.why};"
            f" `ml-assets unhold {record.model} {record.version}` takes it off"
        )


def _check_gate(
    spec: ModelSpec,
    store: Versions,
    record: VersionRecord,
    before: ServingPlan | None,
    overruled: Sequence[str],
) -> None:
    """Refuse a version that did not pass, or that today's champion has overtaken."""
    from ml_assets.lifecycle.scoring import evaluate, held_out_rows, load, score

    evaluation = store.evaluation(spec.name, record.version)
    if evaluation is None:
        raise RefusedError(f"version {record.version} was not evaluated")
    decision = decision_on(spec, evaluation)
    if decision.to_dict() != evaluation["gate"]:
        # The YAML asks for something else now; the ledger gets the gate that decides.
        evaluation = {**evaluation, "gate": decision.to_dict()}
        store.save_evaluation(spec.name, record.version, evaluation)
    decision = decision.without(overruled)
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
    held = held_out_rows(spec, record)
    answers = score(held.task, load(record), held.rows)
    figures = gate_figures(spec, record, evaluate(spec, held, answers))
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
