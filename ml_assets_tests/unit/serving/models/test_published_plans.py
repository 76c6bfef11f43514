"""Plans where servers read them, on every kind of storage."""

from pathlib import Path

import msgspec
import pytest

from ml_assets.core.files import NameFault
from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, ServingPlan, digest, pin_of
from ml_assets.serving.models.published_plans import ForeignPlanError, PublishedPlans


def plan(generation: int, version: str = "a", model: str = "churn") -> ServingPlan:
    arm = Arm(version=version, bundle=f"b/{version}", files={}, runtime="compiled")
    return ServingPlan(
        model=model,
        generation=generation,
        arms=(arm,),
        created_at="2026-11-23T02:00:00+00:00",
        reason="test",
    )


@pytest.fixture
def plans(tmp_path: Path) -> PublishedPlans:
    return PublishedPlans(Storage(str(tmp_path)))


@pytest.mark.slow
def test_servers_read_the_newest_plan_and_only_what_changed(any_storage: str) -> None:
    plans = PublishedPlans(Storage(any_storage))
    assert plans.tags() == {} and plans.current("churn") is None
    assert plans.changed("churn", None) is None
    plans.publish(plan(1))
    plans.publish(plan(1, model="telco"))
    before = plans.tags()
    assert [*before] == ["churn", "telco"]
    found = plans.changed("churn", None)
    assert found is not None and found.plan == plan(1)
    assert plans.changed("churn", found.tag) is None
    plans.publish(plan(2, "b"))
    newer = plans.changed("churn", found.tag)
    assert newer is not None and newer.plan == plan(2, "b")
    after = plans.tags()
    assert after["churn"] != before["churn"] and after["telco"] == before["telco"]


@pytest.mark.slow
def test_a_plan_that_is_tried_can_be_pinned_and_dropped(any_storage: str) -> None:
    plans = PublishedPlans(Storage(any_storage))
    plans.publish(plan(1))
    plans.pin(plan(2, "b"))
    plans.pin(plan(2, "b"))
    plans.pin(plan(2, "c"))
    assert plans.current("churn") == plan(1)
    assert plans.pinned("churn", pin_of(plan(2, "b"))) == plan(2, "b")
    assert plans.pinned("churn", "1") == plan(1)
    # Two are tried: a bare number names neither.
    assert plans.pinned("churn", "2") is None
    plans.unpin(plan(2, "c"))
    assert plans.of_generation("churn", 2) == [plan(2, "b")]
    assert plans.pinned("churn", "2") == plan(2, "b")
    assert plans.pinned("churn", pin_of(plan(2, "c"))) is None


def test_a_past_plan_stays_for_servers_that_are_pinned_to_it(
    plans: PublishedPlans,
) -> None:
    for generation in (1, 2, 3):
        plans.publish(plan(generation, f"v{generation}"))
    assert plans.pinned("churn", "2") == plan(2, "v2")
    assert plans.pinned("churn", "4") is None


def test_a_plan_may_be_published_again_and_never_replaces_a_newer_one(
    plans: PublishedPlans,
) -> None:
    plans.publish(plan(2))
    plans.publish(plan(2))
    for late in (plan(1), plan(2, "b")):
        with pytest.raises(ForeignPlanError, match="has plan 2 already"):
            plans.publish(late)
    assert plans.current("churn") == plan(2)


def test_what_others_keep_among_the_plans_is_no_model(
    plans: PublishedPlans, tmp_path: Path
) -> None:
    plans.publish(plan(1))
    for name in ("lost+found", ".snapshot", "telco"):
        (tmp_path / "plans" / name).mkdir()
        (tmp_path / "plans" / name / "00000001.json").write_text("{")
    (tmp_path / "plans" / "a b").mkdir()
    (tmp_path / "plans" / "a b" / "active.json").write_text("{")
    (tmp_path / "plans" / "README").write_text("plans")
    assert [*plans.tags()] == ["churn"]


def test_a_damaged_plan_is_refused_rather_than_guessed(
    plans: PublishedPlans, tmp_path: Path
) -> None:
    plans.publish(plan(1))
    (tmp_path / "plans/churn/active.json").write_text('{"model": "churn"')
    with pytest.raises(msgspec.DecodeError):
        plans.current("churn")


def test_a_plan_keeps_its_digest_through_its_object(plans: PublishedPlans) -> None:
    plans.publish(plan(1))
    current = plans.current("churn")
    assert current is not None and digest(current) == digest(plan(1))
    assert digest(plan(1)) != digest(plan(1, "b"))


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 201])
def test_a_model_is_one_part_of_a_name(plans: PublishedPlans, name: str) -> None:
    for attempt in (plans.current, lambda model: plans.pinned(model, "1")):
        with pytest.raises(NameFault):
            attempt(name)
