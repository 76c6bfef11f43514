"""Retiring a model: nothing serves it, until somebody deploys it again."""

from typing import NamedTuple

from ml_assets.records.ledger_entry import Entry
from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.state.ledger import append
from ml_assets.targets import Target


class RetirementError(Exception):
    """There is nothing to retire."""


class Retired(NamedTuple):
    """The entry in the ledger, and what the target removed or leaves to do."""

    entry: Entry
    outcome: str


def retire(target: Target, model: str, who: str, why: str) -> Retired:
    """Take a model out of service, and put the versions of its plan on hold.

    The entry and the holds are one transaction; what servers read follows it, and then
    the target removes what serves the model. It may be repeated: whoever follows a
    process that died finishes its work, under the entry of then.

    Raises
    ------
    RetirementError
        If the model was never deployed.
    RolloutError
        If the target could not remove what serves it; the model is retired all the
        same.
    """
    with target.lock(model):
        plan = plans.Plans().current(model)
        if plan is None:
            raise RetirementError(f"{model} was never deployed: nothing serves it")
        is_done = plans.Plans().is_retired(model)
        key, versions = plans.retirement_key(plan), [arm.version for arm in plan.arms]
        with writing(model) as connection:
            entry = append(
                connection,
                model,
                "retirement",
                plan.live.version,
                None,
                who,
                why,
                {"generation": plan.generation},
                key,
            )
            for version in [] if is_done else versions:
                append(
                    connection,
                    model,
                    "hold",
                    version,
                    None,
                    who,
                    f"the model was retired: {why}",
                    {"generation": plan.generation},
                    f"hold:{version}:{key}",
                )
            plans.retire(connection, plan)
        plans.publish(model)
        return Retired(entry, target.retire(model))
