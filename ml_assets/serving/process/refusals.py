"""Why plans are not served, and until when they are not tried again."""

import logging
import time
from typing import NamedTuple

from ml_assets.records.plan import ServingPlan, digest
from ml_assets.serving.logs import log
from ml_assets.serving.metrics.collector import Metrics

# What could not be read or loaded may be there in a while: storage comes back.
RETRY_SECONDS = 5.0
# The message of a server's log that its deployer looks for.
PLAN_REFUSED = "plan refused"


class _Refusal(NamedTuple):
    reason: str
    retry_at: float


class Refusals:
    """The plans that could not be loaded; each reason is logged and counted once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[tuple[str, str], _Refusal] = {}

    def waits(self, plan: ServingPlan) -> bool:
        """Whether `plan` was tried a moment ago, in vain."""
        known = self._known.get((plan.model, digest(plan)))
        return known is not None and time.monotonic() < known.retry_at

    def refuse(self, plan: ServingPlan, reason: str) -> None:
        """Note a plan that cannot be loaded."""
        if self._is_new(plan.model, digest(plan), reason):
            self._metrics.refused(plan.model)
            log_plan(PLAN_REFUSED, plan, logging.ERROR, reason=reason)

    def unreadable(self, model: str, reason: str) -> None:
        """Note something that is no plan."""
        if self._is_new(model, "", reason):
            self._metrics.refused(model)
            log(PLAN_REFUSED, logging.ERROR, model=model, reason=reason)

    def unfetched(self, plan: ServingPlan, reason: str) -> None:
        """Note a plan of which nothing is known: the storage did not answer."""
        if self._is_new(plan.model, digest(plan), reason):
            log_plan("plan not fetched", plan, logging.WARNING, reason=reason)

    def forget(self, model: str) -> None:
        """Forget what was wrong with plans of a model, of which one is served now."""
        for key in [key for key in self._known if key[0] == model]:
            del self._known[key]

    def _is_new(self, model: str, key: str, reason: str) -> bool:
        before = self._known.get((model, key))
        retry_at = time.monotonic() + RETRY_SECONDS
        self._known[model, key] = _Refusal(reason, retry_at)
        return before is None or before.reason != reason


def log_plan(
    message: str, plan: ServingPlan, level: int = logging.INFO, **fields: object
) -> None:
    """Write a line on a plan and its arms."""
    arms = [f"{arm.version} {arm.mode} {arm.runtime}" for arm in plan.arms]
    log(
        message,
        level,
        model=plan.model,
        generation=plan.generation,
        arms=arms,
        **fields,
    )
