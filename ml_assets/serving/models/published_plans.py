"""The plans in the storage, where servers read them; the database decides on them.

``plans/<model>/active.json`` is the active plan. It is the only object that changes:
it is written after the database has committed the plan, and again wherever it is late.

``pinned/<model>/<generation>/<digest>.json`` are plans to which servers can be pinned:
each one that was published, and each that a target tries before it is active. They are
named by their content and created once.

Where keys are configured, each object is signed: see `ml_assets.records.signed_plan`.
"""

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from ml_assets.core.files import below, is_name
from ml_assets.core.signing import verify_keys
from ml_assets.core.storage import Storage
from ml_assets.records.plan import ServingPlan, pin_of
from ml_assets.records.signed_plan import UntrustedPlanError, seal, unseal

ACTIVE = "active.json"


class StalePlanError(Exception):
    """Another plan of the model is active by now."""


class ForeignPlanError(Exception):
    """The storage has plans that the database does not know."""


class PublishedPlan(NamedTuple):
    """An active plan, and the tag of the object's content."""

    plan: ServingPlan
    tag: str | None


class PublishedPlans:
    """The plans of all models in `storage`.

    With ``ML_ASSETS_VERIFY_KEYS``, only plans that are signed by one of them count.

    Raises
    ------
    SigningKeyError
        If that holds something else than public keys.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._keys = verify_keys()

    def tags(self) -> dict[str, str]:
        """Each model that has an active plan, and the tag of its content.

        One listing, whatever the number of models.
        """
        found = {}
        for item in self.storage.objects("plans"):
            model, _, name = item.name.removeprefix("plans/").partition("/")
            if name == ACTIVE and is_name(model):
                found[model] = item.tag or f"{item.modified.timestamp()}-{item.size}"
        return found

    def current(self, model: str) -> ServingPlan | None:
        """The active plan; None where the model was never deployed.

        Raises
        ------
        UntrustedPlanError
            If the object is no plan, or not signed as it has to be.
        """
        found = self.changed(model, None)
        return None if found is None else found.plan

    def changed(self, model: str, tag: str | None) -> PublishedPlan | None:
        """The active plan where it is not that of `tag`; None where it is, or absent.

        Raises
        ------
        UntrustedPlanError
            If the object is no plan, or not signed as it has to be.
        """
        found = self.storage.changed(_active(model), tag)
        if found is None:
            return None
        return PublishedPlan(self._plan(found.data, model), found.tag)

    def is_current(self, plan: ServingPlan) -> bool:
        """Whether servers read `plan`, in the form in which it is published now."""
        return self.storage.get(_active(plan.model)) == seal(plan)

    def publish(self, plan: ServingPlan) -> None:
        """Let servers read `plan`, which the database has committed; again, if asked.

        Nobody may commit another plan of the model meanwhile.

        Raises
        ------
        ForeignPlanError
            If the storage has a newer plan, or another one of this generation.
        SigningKeyError
            If servers ask for signatures, and there is no key here to sign with.
        """
        if self.is_current(plan):
            return
        published = self._trusted(plan.model)
        if (
            published is not None
            and published != plan
            and published.generation >= plan.generation
        ):
            raise ForeignPlanError(
                f"plan {plan.generation} of {plan.model} is not published: the storage"
                f" {self.storage.url} has plan {published.generation} already, which"
                " this database does not know. Does another installation use it?"
            )
        self.pin(plan)
        self.storage.put(_active(plan.model), seal(plan))

    def retire(self, plan: ServingPlan) -> None:
        """Let servers read that the model is retired; `plan` was its last one.

        What they read is the plan without its arms, signed as every other one.
        """
        self.storage.put(_active(plan.model), seal(replace(plan, arms=())))

    def pin(self, plan: ServingPlan) -> None:
        """Let servers be pinned to `plan`, be it active or not."""
        name, data = _pinned(plan), seal(plan)
        if not self.storage.create(name, data):
            # The name says which plan it is: another key signed it, or it is damaged.
            self.storage.put(name, data)

    def unpin(self, plan: ServingPlan) -> None:
        """Drop a plan that never became active and to which no server is pinned."""
        self.storage.remove([_pinned(plan)])

    def of_generation(self, model: str, generation: int) -> list[ServingPlan]:
        """The plans of one generation: the one that was published, or that are tried.

        Raises
        ------
        UntrustedPlanError
            If one of the objects is no plan, or not signed as it has to be.
        """
        prefix = _name("pinned", model, str(generation))
        names = self.storage.children(prefix)
        found = [self.storage.get(f"{prefix}/{name}") for name in names]
        return [self._plan(data, model) for data in found if data is not None]

    def pinned(self, model: str, pin: str) -> ServingPlan | None:
        """The plan of a pin, such as ``7-3fa9c1d2e4b5``, or the only one of ``7``.

        None where there is no such plan yet.

        Raises
        ------
        UntrustedPlanError
            If the object is no plan, or not signed as it has to be.
        """
        generation, _, digest = pin.partition("-")
        if digest:
            data = self.storage.get(
                _name("pinned", model, generation, f"{digest}.json")
            )
            return None if data is None else self._plan(data, model)
        found = self.of_generation(model, int(generation))
        return found[0] if len(found) == 1 else None

    def _plan(self, data: bytes, model: str) -> ServingPlan:
        return unseal(data, self._keys, model)

    def _trusted(self, model: str) -> ServingPlan | None:
        try:
            return self.current(model)
        except UntrustedPlanError:
            # Nobody serves it. The database decides what is put there instead.
            return None


def _active(model: str) -> str:
    return _name("plans", model, ACTIVE)


def _name(*parts: str) -> str:
    # No part may be more than one: a model's name comes from outside.
    return below(Path(), *parts).as_posix()


def _pinned(plan: ServingPlan) -> str:
    generation, _, digest = pin_of(plan).partition("-")
    return _name("pinned", plan.model, generation, f"{digest}.json")
