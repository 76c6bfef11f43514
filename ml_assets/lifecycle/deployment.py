"""What keeps a version from being deployed: a refusal, or nothing to be done."""

from collections.abc import Sequence

from ml_assets.assets.evaluation import decision_on, gate_figures
from ml_assets.core.storage import storage_root
from ml_assets.ml.gate import Gate
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger, held
from ml_assets.state.versions import VersionRecord, VersionStore
from ml_assets.targets import Target


class RefusedError(Exception):
    """The version may not be deployed."""


class DoneError(Exception):
    """There is nothing to do: the version was deployed before, or was overtaken."""


def check_not_done(
    target: Target, record: VersionRecord, before: ServingPlan | None
) -> None:
    """A version that was in service or on trial before is not put there again."""
    for plan in target.history(record.model):
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


def check_not_held(record: VersionRecord) -> None:
    """Refuse a version that somebody or a rollback put on hold."""
    entry = held(Ledger(storage_root()).entries(record.model)).get(record.version)
    if entry is not None:
        raise RefusedError(
            f"version {record.version} is on hold since {entry.time}: {entry.why};"
            f" `ml-assets unhold {record.model} {record.version}` takes it off"
        )


def check_gate(
    spec: ModelSpec,
    store: VersionStore,
    record: VersionRecord,
    before: ServingPlan | None,
    overruled: Sequence[str],
) -> None:
    """Refuse a version that did not pass, or that today's champion has overtaken."""
    from ml_assets.lifecycle.scoring import held_out_rows, load, score
    from ml_assets.ml.evaluation import evaluate

    evaluation = store.evaluation(spec.name, record.version)
    if evaluation is None:
        raise RefusedError(f"version {record.version} was not evaluated")
    decision = decision_on(spec, evaluation)
    if decision.to_dict() != evaluation["gate"]:
        # The YAML asks for something else now; the ledger tells of what decides.
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
