"""The plans of the database: numbered, committed by one, published afterwards."""

import threading

import pytest

from ml_assets.core.storage import storage
from ml_assets.serving.models.published_plans import PublishedPlans, StalePlanError
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.state.plans import Plans
from ml_assets_tests.kits.plans import commit
from ml_assets_tests.kits.plans import numbered_plan as plan

pytestmark = pytest.mark.usefixtures("database")


def test_a_model_that_was_never_deployed_has_no_plan() -> None:
    assert Plans().models() == [] and Plans().late() == []
    assert Plans().current("churn") is None
    assert Plans().history("churn") == []
    with pytest.raises(LookupError, match="there is no plan 1 of churn"):
        Plans().read("churn", 1)


def test_the_newest_generation_is_active_and_the_old_ones_stay() -> None:
    for generation in range(1, 13):
        commit(plan(generation, f"v{generation}"))
    commit(plan(1, model="telco"))
    assert Plans().current("churn") == plan(12, "v12")
    assert [item.live.version for item in Plans().history("churn")] == [
        f"v{generation}" for generation in range(1, 13)
    ]
    assert Plans().read("churn", 3) == plan(3, "v3")
    assert Plans().models() == ["churn", "telco"]


@pytest.mark.parametrize("generation", [1, 2, 4, 9])
def test_only_the_next_generation_can_be_committed(generation: int) -> None:
    commit(plan(1, "a"))
    commit(plan(2, "b"))
    with pytest.raises(StalePlanError, match=f"plan {generation} of churn cannot be"):
        commit(plan(generation, "c"))
    assert Plans().current("churn") == plan(2, "b")
    assert len(Plans().history("churn")) == 2


def test_of_many_committers_one_wins_and_the_others_are_reported() -> None:
    for generation in range(1, 4):
        start = threading.Barrier(8)
        outcomes: list[str] = []

        def race(name: str, number: int = generation) -> None:
            start.wait()
            try:
                commit(plan(number, name))
            except StalePlanError:
                outcomes.append("stale")
            else:
                outcomes.append(name)

        threads = [
            threading.Thread(target=race, args=(f"v{index}",)) for index in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("stale") == 7
        (winner,) = {*outcomes} - {"stale"}
        current = Plans().current("churn")
        assert current is not None and current.live.version == winner


def test_a_committed_plan_that_nobody_published_is_late() -> None:
    published = PublishedPlans(storage())
    commit(plan(1))
    with writing("churn") as connection:
        plans.commit(connection, plan(2))
    assert published.current("churn") == plan(1)
    assert Plans().late() == ["churn"]
    assert Plans().unpublished() == {"churn"}
    plans.publish("churn")
    assert Plans().unpublished() == set()
    assert Plans().late() == []
    assert published.current("churn") == plan(2)
