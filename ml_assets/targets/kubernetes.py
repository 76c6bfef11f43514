"""The servers of a cluster: one Deployment a model, pinned to a plan by an annotation.

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
import os

from ml_assets.records.plan import ServingPlan, pin_of
from ml_assets.serving.models.published_plans import StalePlanError
from ml_assets.serving.process.refusals import PLAN_REFUSED
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
    Edit,
    FailedRolloutError,
    Object,
    OvertakenError,
    annotate,
    annotation,
    connect,
    lines_of_unready,
    roll_out_or_undo,
)
from ml_assets.targets.model_objects import MANAGER, ModelObjects

__all__ = ["ANNOTATION", "MANAGER", "KubernetesTarget", "deployment_name"]

ANNOTATION = "ml-assets.dev/generation"
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

    def apply(self, plan: ServingPlan, commit: Commit) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        Of a plan that is active already the rollout is only waited for.
        """
        name = deployment_name(plan.model)
        deployment = Deployment(self._cluster, name, MANAGER)
        before = Plans().current(plan.model)
        try:
            if before == plan:
                self._ensure_objects(plan.model)
                return Rollout(plan, _replicas(self._pin(deployment, plan)))
            self._check_next(plan, before)
            for arm in plan.arms:
                preflight(arm, PREFLIGHT_SECONDS)
            self.check_held(plan.model)
            self._ensure_objects(plan.model)
            found = self._roll_out(deployment, plan, before)
            self.check_held(plan.model)
            commit()
        except StalePlanError as error:
            self._follow_plans(deployment, plan.model)
            raise RolloutError(str(error)) from error
        except (ClusterError, LockError, OvertakenError, FailedRolloutError) as error:
            # A rollout that the cluster broke off is a verdict on nothing.
            is_stuck = isinstance(error, FailedRolloutError) and not isinstance(
                error.__cause__, ClusterError
            )
            kind = RolloutError if is_stuck else UnreachableError
            raise kind(
                f"plan {plan.generation} of {plan.model} is not active: {error}"
            ) from error
        self.unpin_others(plan)
        return Rollout(plan, _replicas(found))

    def retire(self, model: str) -> str:
        """Delete the objects that a deployment made for the model."""
        name = deployment_name(model)
        try:
            self.check_held(model)
            return self._objects.remove(name)
        except (ClusterError, LockError) as error:
            raise UnreachableError(
                f"the objects of {model} are not all deleted: {error}"
            ) from error

    def _ensure_objects(self, model: str) -> None:
        spec = find(model)
        self._objects.ensure(
            model, deployment_name(model), spec.serving if spec else None
        )

    def _check_next(self, plan: ServingPlan, before: ServingPlan | None) -> None:
        newest = before.generation if before else 0
        if plan.generation != newest + 1:
            raise RolloutError(
                f"plan {plan.generation} of {plan.model} cannot be activated:"
                f" generation {newest} is, expected plan {newest + 1}"
            )

    def _roll_out(
        self, deployment: Deployment, plan: ServingPlan, before: ServingPlan | None
    ) -> Object:
        """Roll the plan out before it is active."""
        found = annotation(deployment.read()["spec"]["template"], ANNOTATION)
        # In this order: what was read while the lock was held is what we may replace.
        self.check_held(plan.model)
        if _generation(found) > plan.generation:
            raise OvertakenError(f"{deployment} is pinned to plan {found} already")
        self.published.pin(plan)
        forward = _pin_to(pin_of(plan), instead_of=found)
        serves = before is not None and not Plans().is_retired(plan.model)
        undo = _pin_to(pin_of(before) if before and serves else None)
        try:
            return roll_out_or_undo(
                deployment,
                forward,
                undo,
                self.timeout,
                lambda: _refusal(deployment, plan),
            )
        except FailedRolloutError as error:
            if error.undone:
                self.unpin(plan)
            raise

    def _pin(self, deployment: Deployment, plan: ServingPlan) -> Object:
        """Bring the Deployment to a plan that is active."""
        edit = _pin_to(pin_of(plan))
        # There is nothing to return to: this is what ought to serve.
        return roll_out_or_undo(deployment, edit, edit, self.timeout)

    def _follow_plans(self, deployment: Deployment, model: str) -> None:
        """Serve what is active, after somebody else activated it."""
        plan = Plans().current(model)
        if plan is not None:
            with contextlib.suppress(ClusterError, OvertakenError, FailedRolloutError):
                self._pin(deployment, plan)


def deployment_name(model: str) -> str:
    """The Deployment of a model, as the chart names it.

    ``ML_ASSETS_RELEASE`` is the stem of its names, by default ``ml-assets``.

    Examples
    --------
    >>> deployment_name("census_income")
    'ml-assets-census-income'
    """
    stem = os.environ.get("ML_ASSETS_RELEASE") or "ml-assets"
    return f"{stem}-{model.replace('_', '-')}"


def _refusal(deployment: Deployment, plan: ServingPlan) -> str | None:
    """What a server that is pinned to `plan` has against it, by its log."""
    found = deployment.read()
    if annotation(found["spec"]["template"], ANNOTATION) != pin_of(plan):
        return None
    for line in lines_of_unready(deployment, found):
        if line.get("message") == PLAN_REFUSED:
            return f"a pod refused the plan: {line.get('event.reason')}"
    return None


def _pin_to(pin: str | None, instead_of: str | None = "") -> Edit:
    """Pins a pod template; with `instead_of`, only one that has that pin (or none)."""

    def edit(template: Object) -> None:
        found = annotation(template, ANNOTATION)
        if found == pin:
            return
        if instead_of != "" and found != instead_of:
            raise OvertakenError(
                f"it is pinned to plan {found}, expected {instead_of or 'no plan'}:"
                " another deployer was first"
            )
        annotate(template, ANNOTATION, pin)

    return edit


def _generation(pin: str | None) -> int:
    number = (pin or "0").partition("-")[0]
    return int(number) if number.isdigit() else 0


def _replicas(deployment: Object) -> int:
    return int(deployment.get("status", {}).get("availableReplicas", 0))
