"""Which plan follows from a passing version, and from a verdict."""

from typing import Any

import pytest

from ml_assets.lifecycle.plan_transitions import (
    challenge,
    challenger,
    drop,
    next_step,
    promote,
)
from ml_assets.records.assignment import Assignment
from ml_assets.records.plan import ServingPlan
from ml_assets.records.version import VersionRecord
from ml_assets.spec.operation import ServingSpec

Arms = list[tuple[str, str, float]]


def record(version: str) -> VersionRecord:
    texts = dict.fromkeys(
        "fingerprint raw_version features_version code_version git_commit environment"
        " run_id registry_uri registry_run registry_version estimator".split(),
        "",
    )
    return VersionRecord(
        model="churn",
        version=version,
        files={"model.skops": "0" * 64},
        runtime="compiled",
        runtime_reason="",
        params={},
        train_rows=1,
        test_rows=1,
        fit_seconds=0.0,
        **texts,
    )


def serving(**given: Any) -> ServingSpec:
    return ServingSpec.model_validate(given)


def described(plan: ServingPlan) -> Arms:
    return [(arm.version, arm.mode, arm.share) for arm in plan.arms]


@pytest.fixture
def champion() -> ServingPlan:
    return challenge(None, record("v1"), serving(), "first")


@pytest.mark.parametrize("strategy", ["rolling", "shadow", "split", "canary"])
def test_the_first_version_serves_alone_whatever_the_strategy(strategy: str) -> None:
    plan = challenge(None, record("v1"), serving(strategy=strategy), "passed", "run")
    assert described(plan) == [("v1", "live", 1.0)]
    assert (plan.generation, plan.experiment, plan.reason) == (1, None, "passed")
    assert challenger(plan) is None


@pytest.mark.parametrize(
    "given, arms, experiment",
    [
        ({}, [("v2", "live", 1.0)], None),
        (
            {"strategy": "shadow"},
            [("v1", "live", 1.0), ("v2", "shadow", 1.0)],
            "v2",
        ),
        (
            {"strategy": "split", "share": 0.25},
            [("v1", "live", 0.75), ("v2", "split", 0.25)],
            "v2",
        ),
        (
            {"strategy": "canary", "steps": [0.125, 0.5]},
            [("v1", "live", 0.875), ("v2", "split", 0.125)],
            "v2",
        ),
    ],
    ids=["rolling", "shadow", "split", "canary"],
)
def test_a_passing_version_comes_in_as_its_strategy_says(
    champion: ServingPlan, given: Any, arms: Arms, experiment: str | None
) -> None:
    plan = challenge(champion, record("v2"), serving(log_sample=0.5, **given), "passed")
    assert described(plan) == arms
    assert (plan.generation, plan.experiment, plan.log_sample) == (2, experiment, 0.5)


def test_promotion_and_its_opposite_end_the_experiment(champion: ServingPlan) -> None:
    tried = challenge(champion, record("v2"), serving(strategy="split"), "passed")
    for plan, version in ((promote(tried, "better"), "v2"), (drop(tried, "no"), "v1")):
        assert described(plan) == [(version, "live", 1.0)]
        assert (plan.generation, plan.experiment, plan.salt) == (3, None, "")


def test_a_newer_challenger_replaces_the_one_under_test(champion: ServingPlan) -> None:
    first = challenge(champion, record("v2"), serving(strategy="shadow"), "passed")
    second = challenge(first, record("v3"), serving(strategy="shadow"), "passed")
    assert described(second) == [("v1", "live", 1.0), ("v3", "shadow", 1.0)]
    assert second.salt != first.salt


def test_a_canary_grows_by_steps_and_keeps_whom_it_has(champion: ServingPlan) -> None:
    steps = [0.05, 0.2, 0.5]
    spec = serving(strategy="canary", steps=steps)
    plan = challenge(champion, record("v2"), spec, "passed")
    entities = [f"person-{number}" for number in range(2_000)]
    seen: list[float] = []
    met: set[str] = set()
    following: ServingPlan | None = plan
    while following is not None:
        plan = following
        shares = [arm.share for arm in plan.arms]
        arms = Assignment(plan.salt, shares)
        now = {name for name in entities if arms.arm_of(name) == 1}
        assert met <= now
        met = now
        seen.append(shares[1])
        following = next_step(plan, steps, "enough requests")
    assert seen == steps


@pytest.mark.parametrize("change", [promote, drop])
def test_without_a_challenger_there_is_nothing_to_decide(
    champion: ServingPlan, change: Any
) -> None:
    with pytest.raises(ValueError, match="plan 1 of churn has no challenger"):
        change(champion, "why")


def test_steps_must_grow() -> None:
    with pytest.raises(ValueError, match="must grow between 0 and 1"):
        serving(steps=[0.2, 0.1])
