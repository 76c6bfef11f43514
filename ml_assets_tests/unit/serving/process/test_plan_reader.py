"""Which plan a server ought to serve, with a storage that comes and goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.records.plan import ServingPlan, pin_of
from ml_assets.serving.models.plan_cache import PlanCache
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.process.plan_reader import PlanReader
from ml_assets_tests.kits.plans import numbered_plan as plan


class Site:
    """A storage that can be taken away, and a machine whose servers are started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.storage = directory / "storage"
        self.plans = PublishedPlans(Storage(str(self.storage)))

    def start(
        self, model: str = "", pin: str = "", pins: Mapping[str, str] | None = None
    ) -> PlanReader:
        plans = PublishedPlans(Storage(str(self.storage)))
        cache = PlanCache(self.directory / "cache", plans.storage.url)
        return PlanReader(plans, cache, model, {model: pin} if pin else pins)

    def serve(self, reader: PlanReader, **options: bool) -> dict[str, ServingPlan]:
        """Read, and load whatever is to be served."""
        reader.read(**options)
        for wanted in reader.wanted.values():
            reader.loaded(wanted)
        return reader.wanted

    def take_away(self) -> None:
        self.storage.rename(self.directory / "away")
        # A file where the directory ought to be: no request is answered.
        self.storage.touch()

    def bring_back(self) -> None:
        self.storage.unlink()
        (self.directory / "away").rename(self.storage)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_every_model_that_has_a_plan_is_found(site: Site) -> None:
    reader = site.start()
    assert site.serve(reader) == {} and reader.models == set()
    site.plans.publish(plan(1))
    assert site.serve(reader) == {"churn": plan(1)}
    for number in range(20):
        site.plans.publish(plan(1, model=f"m{number}"))
    site.plans.publish(plan(2))
    assert len(site.serve(reader)) == 21
    assert reader.wanted["churn"] == plan(2)


@pytest.mark.parametrize("model", ["", "churn"])
def test_a_restart_without_the_storage_serves_the_last_plan(
    site: Site, model: str
) -> None:
    site.plans.publish(plan(3))
    site.serve(site.start(model))
    site.take_away()
    reader = site.start(model)
    assert site.serve(reader) == {"churn": plan(3)}
    assert not reader.is_reachable and reader.models == {"churn"}
    site.bring_back()
    site.plans.publish(plan(4))
    assert site.serve(reader) == {"churn": plan(4)}
    assert reader.is_reachable


@pytest.mark.parametrize("model", ["", "churn"])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_plan_is_never_followed_by_an_older_one(
    site: Site, model: str, is_restarted: bool
) -> None:
    site.plans.publish(plan(3))
    reader = site.start(model)
    site.serve(reader)
    site.plans.storage.remove(["plans/churn/active.json"])
    site.plans.publish(plan(2))
    reader = site.start(model) if is_restarted else reader
    assert site.serve(reader) == {"churn": plan(3)}


def test_a_model_that_the_storage_does_not_have_is_not_served_from_the_cache(
    site: Site,
) -> None:
    site.plans.publish(plan(1))
    site.plans.publish(plan(1, model="telco"))
    site.serve(site.start())
    site.plans.storage.remove(["plans/churn/active.json"])
    assert site.serve(site.start()) == {"telco": plan(1, model="telco")}


def test_what_another_storage_had_is_not_served(site: Site) -> None:
    site.plans.publish(plan(3))
    site.serve(site.start())
    site.storage = site.directory / "other"
    assert site.serve(site.start()) == {}


def test_a_plan_that_cannot_be_read_is_a_fault_of_its_model_alone(site: Site) -> None:
    site.plans.publish(plan(1))
    site.plans.storage.put("plans/telco/active.json", b"{")
    reader = site.start()
    assert site.serve(reader) == {"churn": plan(1)}
    assert "the plan of telco is not readable" in reader.faults["telco"]
    assert reader.models == {"churn", "telco"}
    site.plans.storage.put("plans/telco/active.json", b"")
    site.plans.storage.remove(["plans/telco/active.json"])
    site.plans.publish(plan(1, model="telco"))
    assert len(site.serve(reader)) == 2 and reader.faults == {}


def test_a_plan_that_the_storage_refuses_keeps_no_other_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = PublishedPlans.changed

    def refusing(plans: PublishedPlans, model: str, tag: str | None) -> Any:
        if model == "churn":
            raise StorageUnavailableError("the storage does not answer for churn")
        return changed(plans, model, tag)

    reader = site.start()
    for model in ("alpha", "churn", "telco"):
        site.plans.publish(plan(1, model=model))
    with monkeypatch.context() as patch:
        patch.setattr(PublishedPlans, "changed", refusing)
        assert {*site.serve(reader)} == {"alpha", "telco"}
        assert not reader.is_reachable
    assert {*site.serve(reader)} == {"alpha", "churn", "telco"}
    assert reader.is_reachable


def test_a_damaged_cache_is_passed_over(site: Site) -> None:
    site.plans.publish(plan(1))
    site.serve(site.start())
    for path in (site.directory / "cache").rglob("*.json"):
        path.write_text("{")
    assert site.serve(site.start()) == {"churn": plan(1)}


def test_a_pinned_server_asks_for_its_plan_once(site: Site) -> None:
    pinned = plan(2, "b")
    reader = site.start("churn", pin_of(pinned))
    assert site.serve(reader) == {} and reader.models == {"churn"}
    site.plans.publish(plan(1))
    site.plans.pin(pinned)
    assert site.serve(reader) == {"churn": pinned}
    site.plans.publish(plan(2, "c"))
    site.take_away()
    assert site.serve(reader) == {"churn": pinned} and reader.is_reachable
    # So does one that starts now.
    again = site.start("churn", pin_of(pinned))
    assert site.serve(again) == {"churn": pinned} and again.is_reachable


def test_a_server_that_is_pinned_to_several_plans_serves_these_models_only(
    site: Site,
) -> None:
    wanted = {model: plan(1, model=model) for model in ("iris", "telco", "wine")}
    pins = {model: pin_of(found) for model, found in wanted.items()}
    for model in ("iris", "wine", "other"):
        site.plans.publish(plan(1, model=model))
    reader = site.start(pins=pins)
    assert {*site.serve(reader)} == {"iris", "wine"}
    # One that is missing keeps the server from being ready.
    assert reader.models == {*pins}
    site.take_away()
    # So does one that starts without the storage, and serves what it has.
    again = site.start(pins=pins)
    assert {*site.serve(again)} == {"iris", "wine"} and not again.is_reachable
    assert again.models == {*pins}
    site.bring_back()
    site.plans.pin(wanted["telco"])
    site.plans.publish(plan(2, model="iris"))
    assert site.serve(again) == wanted and again.is_reachable


def test_a_pinned_plan_is_active_once_it_was_committed(site: Site) -> None:
    pinned = plan(2)
    site.plans.publish(plan(1))
    site.plans.pin(pinned)
    reader = site.start("churn", pin_of(pinned))
    site.serve(reader, awaits_activation=True)
    assert not reader.is_active(pinned)
    site.plans.publish(pinned)
    site.serve(reader, awaits_activation=True)
    assert reader.is_active(pinned)
    # A restart without the storage takes requests again.
    site.take_away()
    again = site.start("churn", pin_of(pinned))
    site.serve(again, awaits_activation=True)
    assert again.is_active(pinned)


def test_another_plan_of_the_same_number_is_not_active(site: Site) -> None:
    tried = plan(2, "b")
    site.plans.pin(tried)
    reader = site.start("churn", pin_of(tried))
    site.plans.publish(plan(2, "c"))
    site.serve(reader, awaits_activation=True)
    assert not reader.is_active(tried)


@pytest.mark.parametrize("model", ["", "churn"])
def test_a_retired_model_is_served_no_more_until_it_is_deployed_again(
    site: Site, model: str
) -> None:
    site.plans.publish(plan(1))
    reader = site.start(model)
    assert site.serve(reader) == {"churn": plan(1)}
    site.plans.retire(plan(1))
    assert site.serve(reader) == {}
    assert reader.retired == {"churn"} and reader.models == set()
    # Nor by a restart, with the storage or without.
    assert site.serve(site.start(model)) == {}
    site.take_away()
    assert site.serve(site.start(model)) == {}
    site.bring_back()
    site.plans.publish(plan(2))
    assert site.serve(reader) == {"churn": plan(2)} and reader.retired == set()
