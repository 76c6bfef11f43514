"""Plans: every one that was active, committed beside its ledger entry, and published.

The database decides which plan is active; the highest generation of a model is. What
servers read is its copy in the storage, which `publish` writes after the commit, and
again wherever it is late.
"""

from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from ml_assets.core.decoding import from_json
from ml_assets.core.storage import storage
from ml_assets.records.plan import ServingPlan, digest, encode
from ml_assets.serving.models.published_plans import PublishedPlans, StalePlanError
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import read_rows, read_value, read_values
from ml_assets.state.schema import ledger, plans


def commit(connection: Connection, plan: ServingPlan) -> None:
    """Make `plan` the active one, in a transaction of `writing(plan.model)`.

    Raises
    ------
    StalePlanError
        If its generation is not the next one: another deployer was first.
    """
    newest = _newest(connection, plan.model)
    if plan.generation != newest + 1:
        raise _stale(plan, newest)
    row = {
        "model": plan.model,
        "generation": plan.generation,
        "digest": digest(plan),
        "plan": encode(plan).decode(),
        "published": False,
    }
    try:
        connection.execute(plans.insert().values(row))
    except IntegrityError as error:
        raise _stale(plan, plan.generation) from error


def retire(connection: Connection, plan: ServingPlan) -> None:
    """Let the next `publish` withdraw the active plan, in a transaction of its model.

    The transaction has to enter `retirement_key` in the ledger.
    """
    row = plans.c.generation == plan.generation
    wanted = plans.update().where(plans.c.model == plan.model, row)
    connection.execute(wanted.values(published=False))


def retirement_key(plan: ServingPlan) -> str:
    """The key of the ledger's entry that retires the model with this plan."""
    return f"retirement:{plan.generation}"


def publish(model: str) -> None:
    """Let servers read the active plan of `model`, or that the model is retired.

    It may be repeated at any time.

    Raises
    ------
    ForeignPlanError
        If the storage has a newer plan: it is that of another database.
    StorageUnavailableError
        If the storage does not answer; `Plans.unpublished` names the model then.
    """
    # Whoever publishes has the newest plan: nobody commits another one meanwhile.
    with writing(model) as connection:
        plan = _current(connection, model)
        if plan is not None:
            published = PublishedPlans(storage())
            if _is_retired(connection, plan):
                published.retire(plan)
            else:
                published.publish(plan)
            done = plans.update().where(plans.c.model == model, ~plans.c.published)
            connection.execute(done.values(published=True))


class Plans:
    """The plans of every model, as the database has them."""

    def models(self) -> list[str]:
        """Names of the models that have a plan."""
        return sorted(read_values(select(plans.c.model).distinct()))

    def current(self, model: str) -> ServingPlan | None:
        """The plan of the highest generation; None where there was no deployment.

        It is active unless the model is retired; the next one follows it in any case.
        """
        with reading() as connection:
            return _current(connection, model)

    def serving(self, model: str) -> ServingPlan | None:
        """The active plan; None where there was no deployment, or it was retired."""
        with reading() as connection:
            plan = _current(connection, model)
            if plan is None or _is_retired(connection, plan):
                return None
            return plan

    def is_retired(self, model: str) -> bool:
        """Whether the model was retired, and not deployed since."""
        with reading() as connection:
            plan = _current(connection, model)
            return plan is not None and _is_retired(connection, plan)

    def read(self, model: str, generation: int) -> ServingPlan:
        """The plan of one generation.

        Raises
        ------
        LookupError
            If there is none.
        """
        found = read_value(_plans(model).where(plans.c.generation == generation))
        if found is None:
            raise LookupError(f"there is no plan {generation} of {model}")
        return _plan(found)

    def history(self, model: str) -> list[ServingPlan]:
        """Every plan of the model, oldest first."""
        oldest_first = _plans(model).order_by(plans.c.generation)
        return [_plan(text) for text in read_values(oldest_first)]

    def active(self) -> dict[str, ServingPlan]:
        """The active plan of every model that is not retired."""
        newest = (
            select(plans.c.model, func.max(plans.c.generation).label("generation"))
            .group_by(plans.c.model)
            .subquery()
        )
        wanted = select(plans.c.model, plans.c.plan).join(
            newest,
            (plans.c.model == newest.c.model)
            & (plans.c.generation == newest.c.generation),
        )
        retired = select(ledger.c.model, ledger.c.key).where(
            ledger.c.kind == "retirement"
        )
        ended = {(row.model, row.key) for row in read_rows(retired)}
        found = {model: _plan(text) for model, text in read_rows(wanted)}
        return {
            model: plan
            for model, plan in found.items()
            if (model, retirement_key(plan)) not in ended
        }

    def unpublished(self) -> set[str]:
        """Models whose deployer died, or lost the storage, before it published."""
        return {*read_values(select(plans.c.model).where(~plans.c.published))}

    def late(self) -> list[str]:
        """Models whose active plan is not the one that servers read.

        It reads the object of each model.
        """
        found, published = self.active(), PublishedPlans(storage())
        return sorted(m for m, plan in found.items() if not published.is_current(plan))


def _plans(model: str) -> Any:
    return select(plans.c.plan).where(plans.c.model == model)


def _current(connection: Connection, model: str) -> ServingPlan | None:
    newest = _plans(model).order_by(plans.c.generation.desc()).limit(1)
    found = connection.scalar(newest)
    return None if found is None else _plan(found)


def _is_retired(connection: Connection, plan: ServingPlan) -> bool:
    wanted = select(ledger.c.seq).where(
        ledger.c.model == plan.model, ledger.c.key == retirement_key(plan)
    )
    return connection.scalar(wanted) is not None


def _newest(connection: Connection, model: str) -> int:
    wanted = select(func.max(plans.c.generation)).where(plans.c.model == model)
    return connection.scalar(wanted) or 0


def _plan(text: str) -> ServingPlan:
    return from_json(text, ServingPlan)


def _stale(plan: ServingPlan, newest: int) -> StalePlanError:
    return StalePlanError(
        f"plan {plan.generation} of {plan.model} cannot be committed:"
        f" generation {newest} already exists"
    )
