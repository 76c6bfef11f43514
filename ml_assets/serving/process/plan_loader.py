"""Follows the plans in the storage: loads beside what is served, then swaps."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from ml_assets.records.plan import ServingPlan, digest
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.logs import log, logger
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.plan_store import PlanStore, ServerReport, State
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.runtime import Runtime

LoadRuntime = Callable[[Path, dict[str, str]], Runtime]

# What could not be read or loaded may be there in a while: storage comes back.
RETRY_SECONDS = 5.0


class _Refused(NamedTuple):
    digest: str
    reason: str
    retry_at: float


class PlanLoader:
    """Keeps `server` on the active plans in `store`.

    Each proposal is loaded and verified, and reported as prepared or failed; an
    active plan is swapped in and reported as ready. A plan that cannot be loaded is
    reported as failed, and what was served before is served on.
    """

    def __init__(
        self,
        server: ModelServer,
        store: PlanStore,
        name: str,
        load_runtime: LoadRuntime,
        ids: PredictionIds,
        logs: LogKeeper | None = None,
        shadows: ShadowQueue | None = None,
    ) -> None:
        self._server = server
        self._store = store
        self._name = name
        self._load_runtime = load_runtime
        self._ids = ids
        self._logs = logs
        self._shadows = shadows
        self._models: dict[str, ServedModel] = {}
        self._missing: set[str] = set()
        self._prepared: dict[str, tuple[str, ServedModel]] = {}
        self._refused: dict[str, _Refused] = {}
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

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
            except Exception:
                # The thread must outlive whatever the storage does.
                logger.error("the plans could not be read", exc_info=True)
                self._stop.wait(RETRY_SECONDS)
            self._stop.wait(self._server.settings.poll_seconds)

    def poll(self) -> None:
        """Read all plans once and act on what changed."""
        settings = self._server.settings
        if settings.generation:
            self._poll_pinned(settings.model, settings.generation)
            return
        models = {name for name in self._store.models() if self._is_ours(name)}
        for model in models:
            try:
                self._follow(model)
            except (OSError, msgspec.MsgspecError) as error:
                self._refuse(model, None, "", f"the plan cannot be read: {error}")
                self._miss(model)
        self._prepare_first_proposals(models)
        if self._missing - models or not self._server.state.is_scanned:
            self._missing &= models
            self._publish()

    def _prepare_first_proposals(self, models: set[str]) -> None:
        """Prepare proposals of models that are none of `models`, which have a plan."""
        for name in self._store.names():
            if name not in models and self._is_ours(name):
                self._prepare(name)

    def _is_ours(self, model: str) -> bool:
        return self._server.settings.model in ("", model)

    def _poll_pinned(self, model: str, pin: str) -> None:
        """Serve one plan and no other, whatever becomes active."""
        served = self._models.get(model)
        try:
            plan = self._store.pinned(model, pin)
        except (OSError, msgspec.MsgspecError) as error:
            self._refuse(model, None, "", f"the plan cannot be read: {error}")
            plan = None
        if plan is None:
            self._miss(model)
        elif served is None or served.plan != plan:
            self._activate(plan)
        if not self._server.state.is_scanned:
            self._publish()

    def _follow(self, model: str) -> None:
        plan = self._store.current(model)
        served = self._models.get(model)
        if plan is not None and (served is None or served.plan != plan):
            self._activate(plan)
        self._prepare(model)

    def _prepare(self, model: str) -> None:
        """Load the model's proposal, if there is a new one."""
        try:
            plan = self._store.proposal(model)
        except (OSError, msgspec.MsgspecError) as error:
            self._refuse(model, None, "", f"the proposal cannot be read: {error}")
            return
        if plan is None:
            self._withdrawn(model)
            return
        key = digest(plan)
        if self._prepared.get(model, ("",))[0] == key or self._is_refused(model, key):
            return
        try:
            loaded = self._load(plan)
        except Exception as error:
            self._refuse(model, plan, key, _reason(error))
            self._report(model, self._generation(model), "failed", key, _reason(error))
            return
        self._prepared[model] = (key, loaded)
        self._log("plan prepared", plan)
        self._report(model, self._generation(model), "prepared", key)

    def _withdrawn(self, model: str) -> None:
        """Forget a proposal that is no more, and report what is served again."""
        self._prepared.pop(model, None)
        report = self._reports.get(model)
        served = self._generation(model)
        is_stale = report is None or report.generation < served
        if served and (is_stale or (report and report.proposal is not None)):
            self._report(model, served, "ready")

    def _activate(self, plan: ServingPlan) -> None:
        key = digest(plan)
        if self._is_refused(plan.model, key):
            return
        prepared, loaded = self._prepared.pop(plan.model, ("", None))
        try:
            if loaded is None or prepared != key:
                loaded = self._load(plan)
        except Exception as error:
            self._miss(plan.model)
            self._refuse(plan.model, plan, key, _reason(error))
            # The deployer reads which plan a pinned server failed to load.
            pinned = key if self._server.settings.generation else None
            self._report(
                plan.model, plan.generation, "failed", pinned, reason=_reason(error)
            )
            return
        self._models[plan.model] = loaded
        self._missing.discard(plan.model)
        self._refused.pop(plan.model, None)
        self._server.metrics.plans[plan.model] = plan
        self._publish()
        self._log("plan loaded", plan)
        self._report(plan.model, plan.generation, "ready")

    def _miss(self, model: str) -> None:
        """Note a model that has a plan, none of whose versions is in memory."""
        if model not in self._models and model not in self._missing:
            self._missing.add(model)
            self._publish()

    def _load(self, plan: ServingPlan) -> ServedModel:
        max_rows = self._server.settings.max_rows
        arms = [
            ServedArm(
                plan.model,
                arm,
                self._load_runtime(self._store.root / arm.bundle, arm.files),
                max_rows,
                self._ids,
            )
            for arm in plan.arms
        ]
        if self._logs is None:
            return ServedModel(plan, arms)
        recorder = Recorder(self._logs.log_of(plan.model))
        return ServedModel(plan, arms, recorder, self._shadows)

    def _publish(self) -> None:
        metrics = self._server.metrics
        state = ServedState(
            self._models, frozenset(self._missing), True, metrics, self._logs
        )
        self._server.state = state
        metrics.ready = state.is_ready

    def _generation(self, model: str) -> int:
        served = self._models.get(model)
        return served.plan.generation if served else 0

    def _is_refused(self, model: str, key: str) -> bool:
        refused = self._refused.get(model)
        return (
            refused is not None
            and refused.digest == key
            and time.monotonic() < refused.retry_at
        )

    def _refuse(
        self, model: str, plan: ServingPlan | None, key: str, reason: str
    ) -> None:
        before = self._refused.get(model)
        retry_at = time.monotonic() + RETRY_SECONDS
        self._refused[model] = _Refused(key, reason, retry_at)
        if before is not None and before[:2] == (key, reason):
            return
        self._server.metrics.refused(model)
        fields: Mapping[str, object] = {"generation": plan.generation} if plan else {}
        log("plan refused", logging.ERROR, model=model, reason=reason, **fields)

    def _log(self, message: str, plan: ServingPlan) -> None:
        arms = [f"{arm.version} {arm.mode} {arm.runtime}" for arm in plan.arms]
        log(message, model=plan.model, generation=plan.generation, arms=arms)

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
            self._store.report(report)
            self._reports[model] = report


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
