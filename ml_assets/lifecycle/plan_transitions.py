"""The next plan: after a version that passed its gate, after a verdict, or a rollback.

Under ``rolling``, or while nothing serves, a version replaces what serves at once.
Else it becomes the challenger beside the champion: it is promoted, dropped, or
(``canary``) given a larger share. All functions are pure but for the clock.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.records.version import VersionRecord
from ml_assets.spec.operation import ServingSpec


def live_arm(record: VersionRecord) -> Arm:
    """The version as the live arm of a plan."""
    return Arm(
        version=record.version,
        bundle=record.bundle,
        files=record.files,
        runtime="compiled" if record.runtime == "compiled" else "sklearn",
    )


def live_plan(
    record: VersionRecord,
    before: ServingPlan | None,
    reason: str,
    run_id: str | None,
    log_sample: float | None = None,
) -> ServingPlan:
    """The plan after `before` in which the version alone serves.

    `log_sample` is that of `before` by default.
    """
    kept = before.log_sample if before else 1.0
    return ServingPlan(
        model=record.model,
        generation=before.generation + 1 if before else 1,
        arms=(live_arm(record),),
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        reason=reason,
        run_id=run_id,
        log_sample=kept if log_sample is None else log_sample,
    )


def previous_version(
    history: Iterable[ServingPlan], unusable: Iterable[str] = ()
) -> str | None:
    """What a rollback returns to: the version that was live last before today's.

    Versions in `unusable` (those on hold, those that are gone) are passed over.
    """
    versions = [plan.live.version for plan in history][::-1]
    passed_over = {*versions[:1], *unusable}
    return next((name for name in versions if name not in passed_over), None)


def challenger(plan: ServingPlan) -> Arm | None:
    """The arm under test, or None where there is no experiment."""
    if plan.experiment is None:
        return None
    return next((item for item in plan.arms if item.mode != "live"), None)


def newest_version(plan: ServingPlan) -> str:
    """The version that a plan brought: its challenger, else the one that serves."""
    return plan.experiment or plan.live.version


def challenge(
    plan: ServingPlan | None,
    record: VersionRecord,
    spec: ServingSpec,
    reason: str,
    run_id: str | None = None,
) -> ServingPlan:
    """The plan after `plan` that brings a version in by the strategy of the YAML.

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
    # A shadow answers nobody, and sees all requests.
    answered, seen = (0.0, 1.0) if mode == "shadow" else (share, share)
    arms = (
        msgspec.structs.replace(plan.live, share=1 - answered),
        msgspec.structs.replace(live_arm(record), mode=mode, share=seen),
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
