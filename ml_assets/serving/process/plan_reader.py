"""Which plan each model of a server ought to serve, as the storage says or has said."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ml_assets.core.storage import StorageUnavailableError
from ml_assets.records.plan import ServingPlan
from ml_assets.records.signed_plan import UntrustedPlanError
from ml_assets.serving.logs import log
from ml_assets.serving.models.plan_cache import CachedPlan, PlanCache
from ml_assets.serving.models.published_plans import PublishedPlan, PublishedPlans

_READERS = 8
# What a plan is read to be: unchanged where None, or why it cannot be read.
Content = PublishedPlan | UntrustedPlanError | StorageUnavailableError | None


class PlanReader:
    """The plans that one server follows.

    A plan is never followed by an older one, whatever the storage says. While the
    storage does not answer, the plans of the cache are those to serve.

    Parameters
    ----------
    plans
        The plans in the storage.
    cache
        The plans that were served here before.
    model
        The only model; all where empty.
    pins
        Model to the only plan of it; whichever is active where empty. No other models
        are served then.

    Attributes
    ----------
    wanted : dict of str to ServingPlan
        The plan to serve, by model.
    faults : dict of str to str
        Models whose plan cannot be read, and why.
    models : set of str
        Models that have a plan.
    retired : set of str
        Models that are served no more.
    is_reachable : bool
        Whether the storage answered the last time.
    """

    def __init__(
        self,
        plans: PublishedPlans,
        cache: PlanCache,
        model: str = "",
        pins: Mapping[str, str] | None = None,
    ) -> None:
        self._plans = plans
        self._cache = cache
        self._model = model
        self._pins = pins or {}
        self._tags: dict[str, str | None] = {}
        self._active: dict[str, ServingPlan] = {}
        self.wanted: dict[str, ServingPlan] = {}
        self.faults: dict[str, str] = {}
        self.models: set[str] = set()
        self.retired: set[str] = set()
        self.is_reachable = True

    def read(self, awaits_activation: bool = False) -> None:
        """Ask the storage what is active.

        Parameters
        ----------
        awaits_activation : bool, default=False
            Whether to ask, of a pinned plan, if it is active; else it is read once.
        """
        try:
            if self._pins:
                self._read_pins(awaits_activation)
            elif self._model:
                self._read_one(self._model)
            else:
                self._read_all()
        except StorageUnavailableError as error:
            self._unreachable(error)
        else:
            self._reachable()
        self.models = (self.models | {*self.wanted}) - self.retired

    def is_active(self, plan: ServingPlan) -> bool:
        """Whether `plan` is known to be active, or to have been.

        Of the plans that are tried for a generation all but the active one are removed
        before the next generation is made.
        """
        active = self._active.get(plan.model)
        return active is not None and (
            plan == active or plan.generation < active.generation
        )

    def last_served(self, model: str) -> ServingPlan | None:
        """The active plan of the model that was served on this machine last."""
        kept = self._cache.get(model)
        return kept.plan if kept and kept.plan.arms else None

    def loaded(self, plan: ServingPlan) -> None:
        """Keep a plan that was loaded, for when the storage is away."""
        if self._pins:
            self._cache.keep(plan.model, CachedPlan(plan), self._pins[plan.model])
        elif self._active.get(plan.model) == plan:
            self._keep_active(plan.model)

    def _read_one(self, model: str) -> None:
        self._remember(model)
        try:
            found = self._plans.changed(model, self._tags.get(model))
        except UntrustedPlanError as error:
            self._fault(model, error)
            return
        if found is not None:
            self._take(model, found, found.tag)

    def _read_all(self) -> None:
        tags = self._plans.tags()
        self.models = {*tags}
        changed = []
        for model, tag in tags.items():
            self._remember(model)
            if self._tags[model] != tag:
                changed.append(model)
        away = None
        for model, found in self._contents(changed):
            if isinstance(found, StorageUnavailableError):
                away = found
            elif isinstance(found, UntrustedPlanError):
                self._fault(model, found)
                self._tags[model] = tags[model]
            elif found is not None:
                self._take(model, found, tags[model])
        if away is not None:
            # The storage may refuse the plan of one model; those of the others count.
            raise away

    def _contents(self, models: list[str]) -> Iterable[tuple[str, Content]]:
        def get(model: str) -> Content:
            try:
                return self._plans.changed(model, None)
            except (StorageUnavailableError, UntrustedPlanError) as error:
                return error

        if len(models) < 2:
            return [(model, get(model)) for model in models]
        with ThreadPoolExecutor(_READERS) as readers:
            return [*zip(models, readers.map(get, models), strict=True)]

    def _read_pins(self, awaits_activation: bool) -> None:
        self.models = {*self._pins}
        away = None
        for model, pin in self._pins.items():
            try:
                self._read_pinned(model, pin, awaits_activation)
            except StorageUnavailableError as error:
                # This machine may have the plans of others.
                away = error
        if away is not None:
            raise away

    def _read_pinned(self, model: str, pin: str, awaits_activation: bool) -> None:
        if model not in self.wanted:
            kept = self._cache.get(model, pin)
            plan = kept.plan if kept else None
            try:
                plan = plan or self._plans.pinned(model, pin)
            except UntrustedPlanError as error:
                self._fault(model, error)
            if plan is not None:
                self.wanted[model] = plan
                self.faults.pop(model, None)
        plan = self.wanted.get(model)
        if awaits_activation and plan is not None and not self.is_active(plan):
            self._remember(model)
            found = self._plans.changed(model, self._tags.get(model))
            if found is not None:
                self._tags[model], self._active[model] = found.tag, found.plan
                self._keep_active(model)

    def _keep_active(self, model: str) -> None:
        kept = CachedPlan(self._active[model], self._tags.get(model))
        if self._cache.get(model) != kept:
            self._cache.keep(model, kept)

    def _remember(self, model: str) -> None:
        """Begin with what was served here last."""
        if model in self._tags:
            return
        kept = self._cache.get(model)
        self._tags[model] = kept.tag if kept else None
        if kept is not None:
            self._active[model] = kept.plan
            if not kept.plan.arms:
                self.retired.add(model)
            elif not self._pins:
                self.wanted[model] = kept.plan

    def _take(self, model: str, found: PublishedPlan, tag: str | None) -> None:
        self._tags[model] = tag
        self.models.add(model)
        self.faults.pop(model, None)
        known = self._active.get(model)
        if known is not None and found.plan.generation < known.generation:
            log(
                "an older plan is not served",
                logging.WARNING,
                model=model,
                generation=found.plan.generation,
                reason=f"plan {known.generation} was active here already",
            )
            return
        self._active[model] = found.plan
        if not found.plan.arms:
            self.retired.add(model)
            self.wanted.pop(model, None)
            # A restart without the storage must not serve it again.
            self._keep_active(model)
            return
        self.retired.discard(model)
        self.wanted[model] = found.plan

    def _fault(self, model: str, error: Exception) -> None:
        self.models.add(model)
        self.faults[model] = str(error)

    def _unreachable(self, error: StorageUnavailableError) -> None:
        if self._model:
            self._remember(self._model)
        elif not self._pins:
            for model in self._cache.models():
                self._remember(model)
        if self.is_reachable:
            self.is_reachable = False
            log(
                "the storage does not answer: the last plans are served",
                logging.WARNING,
                reason=str(error),
                models=len(self.wanted),
            )

    def _reachable(self) -> None:
        if not self.is_reachable:
            self.is_reachable = True
            log("the storage answers again", models=len(self.wanted))
