"""The status of an experiment, computed anew from the plans, the log and the labels.

No other state is kept between two evaluations: the same data give the same status,
however often and by whomever it is asked for.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ml_assets.lifecycle.live_tasks import loss_of
from ml_assets.lifecycle.plan_transitions import challenger
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.versions import Versions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml_assets.ml.sequential import Comparison, Decision, Guardrail, Loss, Trace
    from ml_assets.prediction_log.labels import Counts

DAY_SECONDS = 86_400.0
# Another model may take twice as long now and then; failing more often is not accepted.
SLOW_TOLERANCE = 2.0
# Where evaluation gave no accuracy to centre the bets on.
UNKNOWN_ACCURACY = 0.8
# The same of another loss: its mean so far takes over after a few labels.
UNKNOWN_LOSS = 0.1
# Clocks of servers may be behind; the plan's generation decides what belongs to it.
SLACK_SECONDS = 3_600.0
COLUMNS = ("request", "arm", "generation", "entity", "us", "error")


class ExperimentStatus(NamedTuple):
    """The evidence and the verdict of one experiment as of now.

    Attributes
    ----------
    plan : ServingPlan
        The active one, on which the verdict is.
    started : float
        Unix seconds.
    days : float
        Since then.
    step_requests : int
        Requests that the challenger answered since its share is what it is.
    trace : Trace
        Log e-values after each label.
    """

    plan: ServingPlan
    started: float
    days: float
    evidence: "Comparison"
    guardrails: "tuple[Guardrail, ...]"
    step_requests: int
    trace: "Trace"
    counts: "Counts"
    decision: "Decision"

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; the ledger keeps it as evidence."""
        tried = challenger(self.plan)
        return {
            "experiment": self.plan.experiment,
            "champion": self.plan.live.version,
            "mode": tried.mode if tried else None,
            "share": tried.share if tried else None,
            "generation": self.plan.generation,
            "started": dt.datetime.fromtimestamp(self.started, dt.UTC).isoformat(),
            "days": round(self.days, 4),
            "verdict": self.decision.verdict,
            "sentence": self.decision.sentence,
            "labels": self.counts._asdict(),
            "evidence": msgspec.to_builtins(self.evidence),
            "guardrails": [
                {**msgspec.to_builtins(rail), "sentence": rail.describe()}
                for rail in self.guardrails
            ],
            "step_requests": self.step_requests,
        }


def experiment_status(
    spec: ServingSpec,
    plans: Sequence[ServingPlan],
    now: dt.datetime,
    loss: "Loss | None" = None,
) -> ExperimentStatus | None:
    """The experiment of the last of `plans`; None where it has no challenger.

    Parameters
    ----------
    spec : ServingSpec
        With the error probability, the longest duration and the limits.
    plans : sequence of ServingPlan
        Every plan of the model, oldest first; the last is active.
    now : datetime
        With its time zone.
    loss : Loss, optional
        What is compared; by default what `~ml_assets.lifecycle.live_tasks.loss_of` has.

    Raises
    ------
    ValueError
        If a loss of a row is not within its bound.
    LookupError
        If the loss has a bound that no reference profile names.
    """
    from ml_assets.ml.sequential import decide
    from ml_assets.state.logged import labelled

    plan = plans[-1] if plans else None
    if plan is None or challenger(plan) is None:
        return None
    loss = loss_of(plan) if loss is None else loss
    shares = _shares(plans)
    first = next(item for item in plans if item.generation in shares)
    started = dt.datetime.fromisoformat(first.created_at).timestamp()
    days = (now.timestamp() - started) / DAY_SECONDS
    versions = [arm.version for arm in plan.arms]
    since = started - SLACK_SECONDS
    rails, step_requests = _watched(spec, plan, shares, since)
    found = labelled(plan.model, since, versions, loss.columns)
    rows = found.rows[found.rows["generation"].isin(shares)]
    evidence, trace = _compared(loss, spec, plan, shares, _with_losses(loss, rows))
    decision = decide(
        evidence,
        rails,
        expired=days >= spec.max_days,
        minimum_requests=spec.minimum_requests,
    )
    return ExperimentStatus(
        plan,
        started,
        days,
        evidence,
        rails,
        step_requests,
        trace,
        found.counts,
        decision,
    )


def _shares(plans: Sequence[ServingPlan]) -> dict[int, float]:
    """The challenger's share in each generation of the experiment under way."""
    found = {}
    for plan in reversed(plans):
        tried = challenger(plan)
        if tried is None or plan.salt != plans[-1].salt:
            break
        found[plan.generation] = tried.share
    return found


def _with_losses(loss: "Loss", rows: "pd.DataFrame") -> "pd.DataFrame":
    """`rows` with the loss of each; it is the bound for an answer that failed."""
    import numpy as np

    losses = np.ones(len(rows))
    answered = rows["error"].isna().to_numpy(dtype=bool)
    if answered.any():
        losses[answered] = loss.of(rows[answered])
    return rows.assign(loss=losses)


def _compared(
    loss: "Loss",
    spec: ServingSpec,
    plan: ServingPlan,
    shares: dict[int, float],
    rows: "pd.DataFrame",
) -> "tuple[Comparison, Trace]":
    """The comparison of the two arms, and how it came about."""
    from ml_assets.ml.sequential import compare_paired, compare_split

    labels = spec.design.labels if spec.design else None
    tried = challenger(plan)
    if tried is not None and tried.mode == "shadow":
        pairs = _pairs(rows)
        both = pairs["loss_challenger"], pairs["loss_champion"]
        return compare_paired(loss, *both, alpha=spec.alpha, labels=labels)
    rows = _first_of_each(rows)
    given = rows["arm"] == "split", rows["loss"], _share_of(rows, shares)
    expected = _expected(loss, plan)
    return compare_split(
        loss, *given, expected=expected, alpha=spec.alpha, labels=labels
    )


def _pairs(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Labelled requests that both models answered, each entity once."""
    is_shadow = rows["arm"] == "shadow"
    live = _first_of_each(rows[~is_shadow])
    shadow = rows.loc[is_shadow, ["id", "loss"]]
    return live.merge(
        shadow, on="id", how="inner", suffixes=("_champion", "_challenger")
    )


def _first_of_each(rows: "pd.DataFrame") -> "pd.DataFrame":
    """One row for each entity: a person with many requests is not many witnesses."""
    unit = rows["entity"].where(rows["entity"].notna(), rows["id"])
    return rows[~unit.duplicated()]


def _share_of(rows: "pd.DataFrame", shares: dict[int, float]) -> "np.ndarray[Any, Any]":
    return rows["generation"].map(shares).to_numpy(dtype="float64")


def _expected(loss: "Loss", plan: ServingPlan) -> float:
    """The champion's mean loss in evaluation, on which the bets are centred."""
    if not loss.is_binary:
        return UNKNOWN_LOSS
    evaluation = Versions().evaluation(plan.model, plan.live.version) or {}
    accuracy = evaluation.get("metrics", {}).get("accuracy")
    return 1 - (UNKNOWN_ACCURACY if accuracy is None else float(accuracy))


def _watched(
    spec: ServingSpec,
    plan: ServingPlan,
    shares: dict[int, float],
    since: float,
) -> "tuple[tuple[Guardrail, ...], int]":
    """Errors and slow answers of every request, and requests of the present share."""
    from ml_assets.ml.sequential import Guardrail

    errors = Guardrail(name="errors")
    slow = Guardrail(name="slow answers", tolerance=SLOW_TOLERANCE)
    tried = challenger(plan)
    is_shadow = tried is not None and tried.mode == "shadow"
    counted, blamed = 0, (set[str](), set[str]())
    for day in _days(spec, plan, shares, since):
        if is_shadow:
            pairs = _both(day)
            now = pairs["generation"] == plan.generation
            flags = pairs["failed_challenger"], pairs["failed_champion"]
            errors = errors.update_paired(*flags)
            slow = slow.update_paired(pairs["slow_challenger"], pairs["slow_champion"])
        else:
            by_challenger = day["arm"] == "split"
            now = by_challenger & (day["generation"] == plan.generation)
            share = _share_of(day, shares)
            once = [_once(day, n, s) for n, s in zip(("failed", "slow"), blamed)]
            errors = errors.update_split(by_challenger, once[0], share)
            slow = slow.update_split(by_challenger, once[1], share)
        counted += int(now.sum())
    return (errors, slow), counted


def _days(
    spec: ServingSpec,
    plan: ServingPlan,
    shares: dict[int, float],
    since: float,
) -> "Iterator[pd.DataFrame]":
    """Requests of the experiment by arm, a day at a time, in their order."""
    from ml_assets.state.logged import predictions

    versions = [arm.version for arm in plan.arms]
    for day in predictions(plan.model, COLUMNS, since, versions):
        rows = day[day["generation"].isin(shares)]
        rows = rows.assign(
            failed=rows["error"].notna(), slow=rows["us"] > 1_000 * spec.slow_ms
        )
        # The rows of one request fail together: they count once.
        grouped = rows.groupby(["request", "arm"], sort=False, as_index=False)
        yield grouped.agg(
            {"entity": "first", "generation": "first", "failed": "max", "slow": "max"}
        )


def _both(day: "pd.DataFrame") -> "pd.DataFrame":
    """Requests that both the champion and its shadow answered."""
    is_shadow = day["arm"] == "shadow"
    shadow = day.loc[is_shadow, ["request", "failed", "slow"]]
    return day[~is_shadow].merge(
        shadow, on="request", how="inner", suffixes=("_champion", "_challenger")
    )


def _once(day: "pd.DataFrame", name: str, blamed: set[str]) -> "pd.Series[bool]":
    """Where an entity has its first bad answer: all of its answers are one arm's."""
    unit = day["entity"].where(day["entity"].notna(), day["request"] + "/" + day["arm"])
    bad = day[name].astype(bool) & ~unit.isin(blamed)
    bad &= ~unit.where(bad).duplicated()
    blamed.update(unit[bad])
    return bad
