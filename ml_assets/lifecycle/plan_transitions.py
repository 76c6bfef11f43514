"""Which plan follows: from a version that passed its gate, and from a verdict.

Under ``rolling``, or while nothing serves, a version replaces what serves at once.
Else it becomes the challenger beside the champion: it is promoted, dropped, or
(``canary``) given a larger share. All functions are pure but for the clock.
"""

import datetime as dt
from typing import Any

import msgspec

from ml_assets.lifecycle.activation import arm, live_plan
from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.versions import VersionRecord


def challenger(plan: ServingPlan) -> Arm | None:
    """The arm under test, or None where there is no experiment."""
    if plan.experiment is None:
        return None
    return next((item for item in plan.arms if item.mode != "live"), None)


def challenge(
    plan: ServingPlan | None,
    record: VersionRecord,
    spec: ServingSpec,
    reason: str,
    run_id: str | None = None,
) -> ServingPlan:
    """The plan after `plan` that brings a version in as its strategy says.

    A challenger that is still under test is replaced: it was made from older data, and
    the newer version has to win against the same champion.

    Parameters
    ----------
    plan : ServingPlan, optional
        Active now; None where nothing serves yet.
    record : VersionRecord
        The version that passed its gate.
    spec : ServingSpec
        With the strategy and its shares.
    reason : str
        Why, for whoever reads the plan.
    run_id : str, optional
        The run that does it.
    """
    if plan is None or spec.strategy == "rolling":
        return live_plan(record, plan, reason, run_id, spec.log_sample)
    mode: Any = "shadow" if spec.strategy == "shadow" else "split"
    share = spec.steps[0] if spec.strategy == "canary" else spec.share
    # In shadow mode it answers nobody; its share is of the requests that it sees.
    taken, seen = (0.0, 1.0) if mode == "shadow" else (share, share)
    arms = (
        msgspec.structs.replace(plan.live, share=1 - taken),
        msgspec.structs.replace(arm(record), mode=mode, share=seen),
    )
    return _after(
        plan,
        arms,
        reason,
        run_id,
        salt=f"{record.model}/{record.version}",
        experiment=record.version,
        log_sample=spec.log_sample,
    )


def promote(plan: ServingPlan, reason: str, run_id: str | None = None) -> ServingPlan:
    """The plan in which the challenger serves alone.

    Raises
    ------
    ValueError
        If `plan` has no challenger.
    """
    return _alone(plan, _under_test(plan), reason, run_id)


def drop(plan: ServingPlan, reason: str, run_id: str | None = None) -> ServingPlan:
    """The plan in which the champion serves alone again.

    Raises
    ------
    ValueError
        If `plan` has no challenger.
    """
    _under_test(plan)
    return _alone(plan, plan.live, reason, run_id)


def next_step(
    plan: ServingPlan, steps: list[float], reason: str, run_id: str | None = None
) -> ServingPlan | None:
    """The plan in which a canary gets its next larger share; None after the last step.

    The salt stays, so that whoever met the challenger keeps meeting it.

    Raises
    ------
    ValueError
        If `plan` has no challenger.
    """
    tried = _under_test(plan)
    larger = [step for step in steps if step > tried.share]
    if not larger:
        return None
    arms = (
        msgspec.structs.replace(plan.live, share=1 - larger[0]),
        msgspec.structs.replace(tried, share=larger[0]),
    )
    return _after(
        plan, arms, reason, run_id, salt=plan.salt, experiment=plan.experiment
    )


def _under_test(plan: ServingPlan) -> Arm:
    found = challenger(plan)
    if found is None:
        raise ValueError(f"plan {plan.generation} of {plan.model} has no challenger")
    return found


def _alone(
    plan: ServingPlan, chosen: Arm, reason: str, run_id: str | None
) -> ServingPlan:
    live = msgspec.structs.replace(chosen, mode="live", share=1.0)
    return _after(plan, (live,), reason, run_id)


def _after(
    plan: ServingPlan,
    arms: tuple[Arm, ...],
    reason: str,
    run_id: str | None,
    salt: str = "",
    experiment: str | None = None,
    log_sample: float | None = None,
) -> ServingPlan:
    return ServingPlan(
        model=plan.model,
        generation=plan.generation + 1,
        arms=arms,
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        reason=reason,
        run_id=run_id,
        salt=salt,
        experiment=experiment,
        log_sample=plan.log_sample if log_sample is None else log_sample,
    )
