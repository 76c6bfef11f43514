"""The servers of this machine, which share its home directory.

A rollout has two phases. First the plan is tried in a process of its own, then
proposed: every running server loads it beside the plan it serves, scores the stored
probe rows and reports the outcome. Only when all are prepared is it committed, and
they swap. A plan that crashes, or answers otherwise than at training, is withdrawn and
never active.
"""

from collections.abc import Callable

from ml_assets.core.retry import poll
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.serving.models.published_plans import StalePlanError
from ml_assets.serving.models.rendezvous import ServerReport, rendezvous
from ml_assets.state.plans import Plans
from ml_assets.targets import Commit, Rollout, RolloutError
from ml_assets.targets.base import BaseTarget, preflight

POLL_SECONDS = 0.05


class LocalTarget(BaseTarget):
    """Rolls out to the servers that share the home directory of this process.

    `timeout` bounds, in seconds, the wait for servers to load a plan.
    """

    def __init__(self, timeout: float = 60.0) -> None:
        super().__init__(timeout)
        self.servers = rendezvous()

    def apply(self, plan: ServingPlan, commit: Commit) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        A plan that is active already is only waited for.
        """
        if Plans().current(plan.model) == plan:
            return Rollout(plan, self._await_serving(plan))
        for arm in plan.arms:
            preflight(arm, self.timeout)
        self.servers.propose(plan)
        try:
            self._await_prepared(plan)
            commit()
        except StalePlanError as error:
            raise RolloutError(str(error)) from error
        finally:
            self.servers.withdraw(plan.model)
        return Rollout(plan, self._await_serving(plan))

    def retire(self, model: str) -> str:
        """Withdraw what is proposed; the servers follow what is published."""
        self.servers.withdraw(model)
        return "servers stop serving it as soon as they read that it is retired"

    def _await_prepared(self, plan: ServingPlan) -> None:
        wanted = digest(plan)

        def pending(report: ServerReport | None) -> bool:
            if report is None or report.proposal != wanted:
                return True
            if report.state == "failed":
                raise RolloutError(
                    f"server {report.server} refused the plan: {report.reason}"
                )
            return False

        left = self._await_none(plan.model, pending)
        if left:
            raise RolloutError(
                f"{left} running server(s) did not prepare the plan within"
                f" {self.timeout:g} s"
            )

    def _await_serving(self, plan: ServingPlan) -> int:
        def pending(report: ServerReport | None) -> bool:
            return report is None or report.generation < plan.generation

        self._await_none(plan.model, pending)
        # A server that could not load the plan reports that under its generation.
        return sum(
            report is not None and not pending(report) and report.state != "failed"
            for report in self.servers.reports(plan.model)
        )

    def _await_none(
        self, model: str, pending: Callable[[ServerReport | None], bool]
    ) -> int:
        """Wait until no living server is pending; the number that still is."""

        def left() -> int:
            return sum([pending(report) for report in self.servers.reports(model)])

        is_done = poll(lambda: not left(), self.timeout, POLL_SECONDS)
        return 0 if is_done else left()
