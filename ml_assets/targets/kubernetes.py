"""The servers of a cluster: Deployments that an annotation pins to plans.

A model has a Deployment of its own, or is in the one of the shared pool.

A rollout stages the plan, where pods that are pinned to it find it, and sets one
annotation of the pod template. The pods of the new generation are ready when they have
loaded exactly that plan and its probe rows got the stored answers; only when all are
does the plan become active. Else the Deployment returns to the plan that is active,
whose pods have served all along.

The plans are the desired state, and the Deployment is reconciled with them: a deployer
that is killed anywhere leaves a Deployment whose change the next `apply` completes or
undoes.
"""

import contextlib
from collections.abc import Iterator

from ml_assets.records.plan import ServingPlan, pin_of
from ml_assets.serving.models.published_plans import StalePlanError
from ml_assets.spec.catalogue import find
from ml_assets.state.locks import LockError
from ml_assets.state.plans import Plans
from ml_assets.targets import (
    Commit,
    Rollout,
    RolloutError,
    TargetError,
    UnreachableError,
)
from ml_assets.targets.base import BaseTarget, preflight
from ml_assets.targets.clusters import (
    Cluster,
    ClusterError,
    Deployment,
    FailedRolloutError,
    Object,
    OvertakenError,
    connect,
    roll_out_or_undo,
)
from ml_assets.targets.model_objects import MANAGER, ModelObjects, is_ours
from ml_assets.targets.model_servers import (
    ANNOTATION,
    POOL,
    ModelServers,
    deployment_name,
    pin_to,
    value_of,
)
from ml_assets.targets.model_template import PARTS
from ml_assets.targets.plan_refusals import RefusalLog
from ml_assets.targets.shared_pool import SharedPool

__all__ = ["ANNOTATION", "MANAGER", "KubernetesTarget", "deployment_name"]

PREFLIGHT_SECONDS = 120.0


class KubernetesTarget(BaseTarget):
    """Rolls out to the Deployments of the chart `ml-assets`, or made of its template.

    Parameters
    ----------
    cluster : Cluster, optional
        By default the one that ``K8S_SERVER`` and ``K8S_TOKEN`` name, else the one that
        this process runs in.
    timeout : float, default=1800.0
        Seconds for a rollout, and again for a return.

    Raises
    ------
    TargetError
        If no cluster is known.
    """

    def __init__(self, cluster: Cluster | None = None, timeout: float = 1800.0) -> None:
        super().__init__(timeout)
        try:
            self._cluster = cluster or Cluster(connect("K8S"))
        except ClusterError as error:
            raise TargetError(f"target kubernetes: {error}") from error
        self._objects = ModelObjects(self._cluster)
        self._pool = SharedPool(self._cluster, self._objects, timeout)

    def apply(self, plan: ServingPlan, commit: Commit) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        Of a plan that is active already the rollout is only waited for. A model whose
        YAML asks for other servers than it has is moved to them first.
        """
        try:
            with self._pool_lock(plan.model):
                return Rollout(plan, _replicas(self._activate(plan, commit)))
        except (ClusterError, LockError, OvertakenError, FailedRolloutError) as error:
            # A rollout that the cluster broke off is a verdict on nothing.
            is_stuck = isinstance(error, FailedRolloutError) and not isinstance(
                error.__cause__, ClusterError
            )
            kind = RolloutError if is_stuck else UnreachableError
            raise kind(
                f"plan {plan.generation} of {plan.model} is not active: {error}"
            ) from error

    def retire(self, model: str) -> str:
        """Delete the objects that a deployment made for the model."""
        name = deployment_name(model)
        try:
            with self._pool_lock(model):
                self.check_held(model)
                live = self._objects.read(name)
                is_helms = live is not None and not is_ours(live)
                if is_helms or not self._is_pooled(model):
                    return self._objects.remove(name)
                self._objects.delete(name, PARTS)
                self._pool.leave(model)
                return f"deleted Service {name}, and took {model} out of the pool"
        except (
            ClusterError,
            LockError,
            OvertakenError,
            FailedRolloutError,
        ) as error:
            raise UnreachableError(
                f"the objects of {model} are not all deleted: {error}"
            ) from error

    def _activate(self, plan: ServingPlan, commit: Commit) -> Object:
        before = Plans().current(plan.model)
        if before == plan:
            return self._pin(self._settle(plan, before), plan)
        self._check_next(plan, before)
        for arm in plan.arms:
            preflight(arm, PREFLIGHT_SECONDS)
        self.check_held(plan.model)
        try:
            servers = self._settle(plan, before)
        except FailedRolloutError as error:
            # The servers had to change first, which says nothing of the plan.
            raise ClusterError(str(error)) from error
        try:
            found = self._roll_out(servers, plan, before)
            self.check_held(plan.model)
            commit()
        except StalePlanError as error:
            self._follow_plans(servers)
            raise RolloutError(str(error)) from error
        self.unpin_others(plan)
        return found

    @contextlib.contextmanager
    def _pool_lock(self, model: str) -> Iterator[None]:
        """The lock of the shared pool, where a change of the model may change it."""
        with contextlib.ExitStack() as stack:
            if self._is_pooled(model):
                stack.enter_context(self.lock(POOL))
            yield

    def _is_pooled(self, model: str) -> bool:
        return _wants_pool(model) or model in self._pool.pins()

    def _settle(self, plan: ServingPlan, before: ServingPlan | None) -> ModelServers:
        """Bring the model to the servers that its YAML asks for, with what is active.

        Its requests go there once they are ready, and then what served them is deleted.
        """
        model, name, spec = plan.model, deployment_name(plan.model), find(plan.model)
        if name == deployment_name(POOL):
            raise ClusterError(
                f"{model} has the name of the shared pool's Deployment, {name}:"
                " expected another name of the model"
            )
        active = None if Plans().is_retired(model) else before
        pin = self._pool.pins().get(model)
        if _wants_pool(model) or (spec is None and pin is not None):
            return self._settle_in_pool(plan, active, pin)
        serving = spec.serving if spec else None
        servers = ModelServers(Deployment(self._cluster, name, MANAGER), model)
        if pin is not None and active is not None:
            self._objects.ensure(model, name, serving, without=("service",))
            self._pin(servers, active)
        self._objects.ensure(model, name, serving)
        if pin is not None:
            self._pool.leave(model)
        return servers

    def _settle_in_pool(
        self, plan: ServingPlan, active: ServingPlan | None, pin: str | None
    ) -> ModelServers:
        model, name = plan.model, deployment_name(plan.model)
        live = self._objects.read(name)
        if live is not None and not is_ours(live):
            raise ClusterError(
                f"serving.pool of {model} is shared, and Deployment {name} is Helm's:"
                " take the model out of `models` in the values of the chart ml-assets,"
                " or let its pool be own"
            )
        servers = self._pool.servers_of(model)
        self._pool.ensure(servers, pin_of(active or plan))
        if live is not None and active is not None:
            edit = pin_to(servers.value(pin_of(active)))
            refusals = RefusalLog(servers, active)
            self._pool.roll_out(servers, edit, pin, refusals.newest)
        self._pool.bring_requests(model)
        return servers

    def _check_next(self, plan: ServingPlan, before: ServingPlan | None) -> None:
        newest = before.generation if before else 0
        if plan.generation != newest + 1:
            raise RolloutError(
                f"plan {plan.generation} of {plan.model} cannot be activated:"
                f" generation {newest} is, expected plan {newest + 1}"
            )

    def _roll_out(
        self, servers: ModelServers, plan: ServingPlan, before: ServingPlan | None
    ) -> Object:
        """Roll the plan out before it is active."""
        deployment = servers.deployment
        found = value_of(deployment.read())
        # In this order: what was read while the lock was held is what we may replace.
        self.check_held(plan.model)
        self.check_held(POOL)
        pin = servers.pin_in(found)
        if _generation(pin) > plan.generation:
            raise OvertakenError(f"{deployment} is pinned to plan {pin} already")
        self.published.pin(plan)
        forward = pin_to(servers.value(pin_of(plan)), instead_of=found)
        serves = before is not None and not Plans().is_retired(plan.model)
        former = pin_of(before) if before and serves else None
        refusals = RefusalLog(servers, plan)
        try:
            if servers.others is not None:
                return self._pool.roll_out(servers, forward, former, refusals.newest)
            return roll_out_or_undo(
                deployment, forward, pin_to(former), self.timeout, refusals.newest
            )
        except FailedRolloutError as error:
            if error.undone:
                self.unpin(plan)
            if refusals.are_of_others:
                # That says nothing of this plan.
                raise ClusterError(str(error)) from error
            raise

    def _pin(self, servers: ModelServers, plan: ServingPlan) -> Object:
        """Bring the servers to a plan that is active."""
        edit = pin_to(servers.value(pin_of(plan)))
        # There is nothing to return to: this is what ought to serve.
        return roll_out_or_undo(servers.deployment, edit, edit, self.timeout)

    def _follow_plans(self, servers: ModelServers) -> None:
        """Serve what is active, after somebody else activated it."""
        plan = Plans().current(servers.model)
        if plan is not None:
            with contextlib.suppress(ClusterError, OvertakenError, FailedRolloutError):
                self._pin(servers, plan)


def _wants_pool(model: str) -> bool:
    spec = find(model)
    return spec is not None and spec.serving.pool == "shared"


def _generation(pin: str | None) -> int:
    number = (pin or "0").partition("-")[0]
    return int(number) if number.isdigit() else 0


def _replicas(deployment: Object) -> int:
    return int(deployment.get("status", {}).get("availableReplicas", 0))
