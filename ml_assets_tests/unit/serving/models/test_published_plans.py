"""Plans where servers read them, on every kind of storage."""

from pathlib import Path

import pytest

from ml_assets.core.files import NameFault
from ml_assets.core.signing import VERIFY, SigningKeyError
from ml_assets.core.storage import Storage
from ml_assets.records.plan import digest, encode, pin_of
from ml_assets.records.signed_plan import UntrustedPlanError
from ml_assets.serving.models.published_plans import ForeignPlanError, PublishedPlans
from ml_assets_tests.kits.plans import numbered_plan as plan
from ml_assets_tests.kits.signing import make_keys


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
    with pytest.raises(UntrustedPlanError, match="not readable"):
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


# Signatures


def test_only_what_is_signed_is_read_where_keys_are_given(
    plans: PublishedPlans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans.publish(plan(1))
    first = make_keys(tmp_path / "keys")
    first.use(monkeypatch)
    verifying = PublishedPlans(plans.storage)
    with pytest.raises(UntrustedPlanError, match="plan 1 of churn is not signed"):
        verifying.current("churn")
    with pytest.raises(UntrustedPlanError, match="is not signed"):
        verifying.pinned("churn", pin_of(plan(1)))
    assert not verifying.is_current(plan(1))
    # Published again, it is signed, and so is what servers are pinned to.
    verifying.publish(plan(1))
    assert verifying.current("churn") == plan(1)
    assert verifying.pinned("churn", pin_of(plan(1))) == plan(1)
    assert plans.current("churn") == plan(1)


def test_who_can_write_the_storage_cannot_change_what_is_served(
    plans: PublishedPlans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path / "keys").use(monkeypatch)
    verifying = PublishedPlans(plans.storage)
    verifying.publish(plan(1))
    name = "plans/churn/active.json"
    signed = plans.storage.get(name)
    assert signed is not None
    plans.storage.put(name, signed.replace(b'"b/a"', b'"b/z"'))
    with pytest.raises(UntrustedPlanError, match="was changed after it was signed"):
        verifying.current("churn")
    # A newer plan that nobody signed does not keep the database from what it decided.
    plans.storage.put(name, encode(plan(9)))
    verifying.publish(plan(1))
    assert plans.storage.get(name) == signed
    with pytest.raises(UntrustedPlanError, match="where one of telco is expected"):
        plans.storage.put("plans/telco/active.json", signed)
        verifying.current("telco")


def test_a_plan_is_signed_anew_after_a_rotation(
    plans: PublishedPlans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path / "keys").use(monkeypatch)
    PublishedPlans(plans.storage).publish(plan(1))
    second = make_keys(tmp_path / "keys", "rotate")
    second.use(monkeypatch)
    verifying = PublishedPlans(plans.storage)
    assert verifying.current("churn") == plan(1)
    assert not verifying.is_current(plan(1))
    verifying.publish(plan(1))
    assert verifying.is_current(plan(1))
    assert verifying.pinned("churn", pin_of(plan(1))) == plan(1)


def test_nothing_unsigned_is_published_where_signatures_are_asked_for(
    plans: PublishedPlans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VERIFY, str(make_keys(tmp_path / "keys").verify))
    with pytest.raises(SigningKeyError, match="asks for signed plans"):
        PublishedPlans(plans.storage).publish(plan(1))
    assert plans.current("churn") is None
