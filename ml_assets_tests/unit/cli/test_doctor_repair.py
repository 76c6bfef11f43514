"""``ml-assets doctor`` where what servers read is not what was decided."""

from pathlib import Path

from ml_assets.cli.checks.serving import check_published
from ml_assets.core.storage import storage
from ml_assets.records.plan import Arm
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets_tests.kits.plans import commit
from ml_assets_tests.kits.serving import plan

ARM = Arm(version="a", bundle="b/a", files={}, runtime="compiled")


def test_a_plan_that_nobody_published_is_a_problem_until_it_is_repaired(
    home: Path,
) -> None:
    commit(plan(ARM, 1))
    assert [finding.status for finding in check_published(False)] == ["ok"]
    with writing("census") as connection:
        plans.commit(connection, plan(ARM, 2))
    (found,) = check_published(False)
    assert (found.status, found.check) == ("problem", "plan of census")
    assert found.todo == "ml-assets doctor --repair"
    (found,) = check_published(True)
    assert found.status == "ok"
    assert PublishedPlans(storage()).current("census") == plan(ARM, 2)
    assert [finding.check for finding in check_published(False)] == ["plans"]
