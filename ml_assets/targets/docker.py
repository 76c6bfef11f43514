"""One machine's engine: every plan is served by a container of its own.

A rollout starts a container that is pinned to the new plan, beside the one that serves.
It loads the plan, scores the probe rows and reports the outcome below the home
directory, which is on a volume that the containers of the machine share. Only then is
the plan committed, which lets the container take connections from the socket hand-off
(see `ml_assets.serving.process.handoff`). Once it takes requests, the old container
finishes and is removed. A plan that does not load is never active.

Whoever is killed on the way leaves containers that the next `apply` uses or removes:
one of a plan that is active is awaited, one of a plan that never was is removed.
"""

from ml_assets.core.retry import poll
from ml_assets.records.plan import ServingPlan, digest
from ml_assets.serving.models.published_plans import StalePlanError
from ml_assets.serving.models.rendezvous import rendezvous
from ml_assets.state.plans import Plans
from ml_assets.targets import Commit, Rollout, RolloutError, TargetError
from ml_assets.targets.base import BaseTarget
from ml_assets.targets.containers import Containers, Server

POLL_SECONDS = 0.1
# The model server's own patience with requests in flight, and some.
DRAIN_SECONDS = 45


class DockerTarget(BaseTarget):
    """Rolls out to containers that share the home directory of this process.

    `timeout` bounds, in seconds, the wait for a container to load a plan.
    """

    def __init__(self, timeout: float = 120.0) -> None:
        super().__init__(timeout)
        self.reports = rendezvous()

    def apply(self, plan: ServingPlan, commit: Commit) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        Of a plan that is active already the container is started where it is missing,
        and replaced where it is of another image than the hand-off's today.
        """
        try:
            containers = Containers(plan.model)
            self._remove_never_active(containers)
            if Plans().current(plan.model) != plan:
                server = self._start_and_commit(containers, plan, commit)
            else:
                server = self._find_or_start(containers, plan)
            return self._hand_over(containers, plan, server)
        except TargetError as error:
            raise RolloutError(str(error)) from error

    def retire(self, model: str) -> str:
        """Let the containers of the model finish, and remove them."""
        try:
            containers = Containers(model)
            servers = containers.servers()
            for server in servers:
                containers.stop(server, DRAIN_SECONDS)
        except TargetError as error:
            raise RolloutError(str(error)) from error
        return f"removed {len(servers)} container(s)"

    def _remove_never_active(self, containers: Containers) -> None:
        """Remove what a deployer left that died before it could commit its plan."""
        current = Plans().current(containers.model)
        newest = current.generation if current else 0
        for server in containers.servers():
            if server.generation > newest:
                containers.stop(server, patience=0)

    def _start_and_commit(
        self, containers: Containers, plan: ServingPlan, commit: Commit
    ) -> Server:
        """Let a new container load the plan, and commit it when it could."""
        self.published.pin(plan)
        server = None
        try:
            server = containers.start(plan)
            self._await_loaded(containers, plan, server)
            commit()
        except (RolloutError, TargetError, StalePlanError) as error:
            if server is not None:
                containers.stop(server, patience=0)
            self.unpin(plan)
            raise RolloutError(str(error)) from error
        self.unpin_others(plan)
        return server

    def _find_or_start(self, containers: Containers, plan: ServingPlan) -> Server:
        """The container of a plan that is active."""
        image = containers.image()
        for server in containers.servers():
            if server.plan == digest(plan) and server.image == image:
                if server.status in ("running", "restarting"):
                    return server
        return containers.start(plan)

    def _hand_over(
        self, containers: Containers, plan: ServingPlan, server: Server
    ) -> Rollout:
        """Wait until `server` takes requests, then let the others finish and go.

        Where it does not, they serve on, and the rollout counts no server.
        """
        opened = poll(
            lambda: self.reports.takes_requests(server.host), self.timeout, POLL_SECONDS
        )
        if not opened:
            return Rollout(plan, 0)
        for other in containers.servers():
            if other.id != server.id and other.generation <= plan.generation:
                containers.stop(other, DRAIN_SECONDS)
        return Rollout(plan, 1)

    def _await_loaded(
        self, containers: Containers, plan: ServingPlan, server: Server
    ) -> None:
        """Wait until the container has loaded the plan; raise where it cannot."""
        versions = " and ".join(arm.version for arm in plan.arms)

        def has_loaded() -> bool:
            for report in self.reports.reports(plan.model):
                if report is None or not report.server.startswith(f"{server.host}-"):
                    continue
                if report.state == "failed":
                    raise RolloutError(
                        f"version {versions} was refused: {report.reason}"
                    )
                if (
                    digest(plan) == report.proposal
                    or plan.generation == report.generation
                ):
                    return True
            found = containers.refresh(server)
            if found.has_ended:
                raise RolloutError(
                    f"the container of version {versions} ended with exit code"
                    f" {found.exit_code}: {containers.log_tail(server)}"
                )
            return False

        if not poll(has_loaded, self.timeout, POLL_SECONDS):
            raise RolloutError(
                f"the container of version {versions} did not load within"
                f" {self.timeout:g} s: {containers.log_tail(server)}"
            )
