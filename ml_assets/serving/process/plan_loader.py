"""Follows the plans of a server: loads beside what is served, then swaps."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from ml_assets.core.storage import StorageUnavailableError
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.logs import logger
from ml_assets.serving.models import bundle_cache
from ml_assets.serving.models.rendezvous import Rendezvous, ServerReport, State
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.process.model_loading import ModelLoading
from ml_assets.serving.process.plan_reader import PlanReader
from ml_assets.serving.process.refusals import RETRY_SECONDS, Refusals, log_plan

# Directories of the bundles of a plan's arms; waits for them.
Bundles = Callable[[], list[Path]]

# The storage is asked so often: of all models at once, or of the only one.
READ_ALL_SECONDS, READ_SECONDS = 1.5, 1.0
_FETCHERS = 8


class _Proposal(NamedTuple):
    content: str
    plan: ServingPlan | None


class PlanLoader:
    """Keeps `server` on the plans that `reader` gives.

    Each proposal is loaded and verified, and reported as prepared or failed; an
    active plan is swapped in and reported as ready. A plan that cannot be loaded is
    reported as failed, and what was served before is served on. While the storage does
    not answer nothing is refused: it is tried again.
    """

    def __init__(
        self,
        server: ModelServer,
        reader: PlanReader,
        loading: ModelLoading,
        rendezvous: Rendezvous,
        name: str,
    ) -> None:
        self._server = server
        self._reader = reader
        self._loading = loading
        self._rendezvous = rendezvous
        self._name = name
        self._read_at = 0.0
        self._models: dict[str, ServedModel] = {}
        self._proposals: dict[str, _Proposal] = {}
        self._prepared: dict[str, tuple[str, ServedModel]] = {}
        self._refusals = Refusals(server.metrics)
        self._reports: dict[str, ServerReport] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plans", daemon=True)

    def start(self) -> None:
        """Load what is active, and follow it, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; a load that is under way is not waited for."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def may_serve(self) -> bool:
        """Whether what is loaded is active; a plan may only be tried yet."""
        return self._server.state.is_ready and all(
            self._reader.is_active(model.plan)
            for model in self._server.state.models.values()
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
            except Exception:
                # The thread must outlive whatever the disk does.
                logger.error("the plans could not be read", exc_info=True)
                self._stop.wait(RETRY_SECONDS)
            self._stop.wait(self._server.settings.poll_seconds)

    def poll(self) -> None:
        """Look at the proposals, and once a second at the plans; act on what is new."""
        settings = self._server.settings
        proposals = {} if settings.generation else self._rendezvous.proposals()
        ended = self._proposals.keys() - proposals.keys()
        # What was proposed is active now, or never will be.
        if ended or time.monotonic() >= self._read_at:
            self._reader.read(awaits_activation=bool(settings.handoff))
            seconds = READ_SECONDS if settings.model else READ_ALL_SECONDS
            self._read_at = time.monotonic() + seconds
            self._server.metrics.storage_reachable = self._reader.is_reachable
            self._follow()
        for model in ended:
            del self._proposals[model]
            self._withdrawn(model)
        for model, content in proposals.items():
            if settings.model in ("", model):
                self._prepare(model, content)

    def _follow(self) -> None:
        """Serve every plan that is to be served and is not."""
        for model, reason in self._reader.faults.items():
            self._refusals.unreadable(model, reason)
        news = [
            plan
            for model, plan in self._reader.wanted.items()
            if model not in self._models or self._models[model].plan != plan
        ]
        plans = [plan for plan in news if not self._refusals.waits(plan)]
        # Models that have a plan, none of whose versions is in memory.
        self._retire()
        missing = frozenset(self._reader.models - self._models.keys())
        state = self._server.state
        if missing != state.missing or not state.is_scanned:
            self._publish(missing)
        if len(plans) == 1:
            self._activate(plans[0], lambda: self._loading.fetch(plans[0]))
        elif plans:
            with ThreadPoolExecutor(_FETCHERS, "bundles") as fetchers:
                coming = [fetchers.submit(self._loading.fetch, plan) for plan in plans]
                for plan, bundles in zip(plans, coming, strict=True):
                    if self._stop.is_set():
                        fetchers.shutdown(cancel_futures=True)
                        return
                    self._activate(plan, bundles.result)
        if plans and self._models:
            bundle_cache.trim()

    def _prepare(self, model: str, content: str) -> None:
        """Load the model's proposal, if there is a new one."""
        known = self._proposals.get(model)
        if known is None or known.content != content:
            known = _Proposal(content, self._read_proposal(model))
            self._proposals[model] = known
        plan, active = known.plan, self._reader.wanted.get(model)
        if plan is None:
            return
        if active is not None and plan.generation <= active.generation:
            self._withdrawn(model)
            return
        key = digest(plan)
        if self._prepared.get(model, ("",))[0] == key or self._refusals.waits(plan):
            return
        served = self._generation(model)
        try:
            loaded = self._loading.load(plan, self._loading.fetch(plan))
        except StorageUnavailableError as error:
            self._refusals.unfetched(plan, str(error))
        except Exception as error:
            self._refusals.refuse(plan, _reason(error))
            self._report(model, served, "failed", key, _reason(error))
        else:
            self._prepared[model] = (key, loaded)
            log_plan("plan prepared", plan)
            self._report(model, served, "prepared", key)

    def _read_proposal(self, model: str) -> ServingPlan | None:
        try:
            return self._rendezvous.proposal(model)
        except (OSError, msgspec.MsgspecError) as error:
            reason = f"the proposal cannot be read: {error}"
            self._refusals.unreadable(model, reason)
            return None

    def _withdrawn(self, model: str) -> None:
        """Forget a proposal that is no more, and report what is served again."""
        prepared = self._prepared.pop(model, None)
        if prepared is not None:
            self._release(prepared[1].plan)
        report = self._reports.get(model)
        served = self._generation(model)
        is_stale = report is None or report.generation < served
        if served and (is_stale or (report and report.proposal is not None)):
            self._report(model, served, "ready")

    def _activate(self, plan: ServingPlan, bundles: Bundles) -> None:
        model, key = plan.model, digest(plan)
        prepared, loaded = self._prepared.pop(model, ("", None))
        try:
            if loaded is None or prepared != key:
                loaded = self._loading.load(plan, bundles())
        except StorageUnavailableError as error:
            self._refusals.unfetched(plan, str(error))
            self._serve_last(plan)
        except Exception as error:
            self._refusals.refuse(plan, _reason(error))
            # The deployer reads which plan a pinned server failed to load.
            pinned = key if self._server.settings.generation else None
            self._report(model, plan.generation, "failed", pinned, _reason(error))
        else:
            self._refusals.forget(model)
            self._serve(loaded)

    def _serve_last(self, plan: ServingPlan) -> None:
        """Serve what this machine has, as long as the newer plan cannot be fetched."""
        last = self._reader.last_served(plan.model)
        if plan.model in self._models or last is None or last == plan:
            return
        try:
            self._serve(self._loading.load(last, self._loading.fetch(last)))
        except Exception as error:
            log_plan(
                "the last plan cannot be served",
                last,
                logging.WARNING,
                reason=_reason(error),
            )

    def _serve(self, loaded: ServedModel) -> None:
        """Swap a plan in, for the one of its model."""
        plan, before = loaded.plan, self._models.get(loaded.name)
        self._models[loaded.name] = loaded
        self._server.metrics.plans[loaded.name] = plan
        self._publish(self._server.state.missing - {loaded.name}, loaded)
        log_plan("plan loaded", plan)
        self._report(loaded.name, plan.generation, "ready")
        self._reader.loaded(plan)
        if before is not None:
            self._release(before.plan)

    def _retire(self) -> None:
        """Serve retired models no more."""
        retired = frozenset(self._reader.retired)
        if retired == self._server.state.retired:
            return
        state = self._server.state.after_retirement(retired)
        self._server.state = state
        self._server.metrics.ready = state.is_ready
        for model in retired & self._models.keys():
            plan = self._models.pop(model).plan
            self._server.metrics.plans.pop(model, None)
            log_plan("model retired", plan)
            self._release(plan)

    def _release(self, plan: ServingPlan) -> None:
        prepared = (model for _, model in self._prepared.values())
        self._loading.release(plan, [*self._models.values(), *prepared])

    def _publish(
        self, missing: frozenset[str], model: ServedModel | None = None
    ) -> None:
        state = self._server.state.updated(missing, model)
        self._server.state = state
        self._server.metrics.ready = state.is_ready

    def _generation(self, model: str) -> int:
        served = self._models.get(model)
        return served.plan.generation if served else 0

    def _report(
        self,
        model: str,
        generation: int,
        state: State,
        proposal: str | None = None,
        reason: str = "",
    ) -> None:
        report = ServerReport(
            server=self._name,
            model=model,
            generation=generation,
            state=state,
            proposal=proposal,
            reason=reason,
        )
        if self._reports.get(model) != report:
            self._rendezvous.report(report)
            self._reports[model] = report


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
