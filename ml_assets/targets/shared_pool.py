"""One Deployment that serves every model whose YAML has ``serving: {pool: shared}``.

Its annotation has a pin for each of its models, and its pods are ready when all of
those plans are loaded. Each model keeps a Service of its own, which selects the pods of
the pool. Whoever changes the pool holds the lock `POOL`, and brings every other model
there to its active plan: a deployer that is killed leaves nothing that the next one
keeps.
"""

import os

from ml_assets.records.pins import split_pins
from ml_assets.records.plan import pin_of
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.plans import Plans
from ml_assets.targets.clusters import (
    Check,
    Cluster,
    ClusterError,
    Deployment,
    Edit,
    FailedRolloutError,
    Object,
    OvertakenError,
    StuckError,
    annotate,
    roll_out,
    roll_out_or_undo,
)
from ml_assets.targets.model_objects import MANAGER, VARIABLE, ModelObjects
from ml_assets.targets.model_servers import (
    ANNOTATION,
    POOL,
    ModelServers,
    deployment_name,
    pin_to,
    value_of,
)
from ml_assets.targets.model_template import (
    OWN,
    PARTS,
    objects_of,
    pool_of,
    ways_to_pool,
)


class SharedPool:
    """The shared pool of a cluster.

    Parameters
    ----------
    cluster : Cluster
    objects : ModelObjects
    timeout : float
        Seconds for a rollout, and again for a return.
    """

    def __init__(self, cluster: Cluster, objects: ModelObjects, timeout: float) -> None:
        self._objects = objects
        self._timeout = timeout
        self._name = deployment_name(POOL)
        self._deployment = Deployment(cluster, self._name, MANAGER)

    def pins(self) -> dict[str, str]:
        """The models of the pool, and what each is pinned to; empty without a pool."""
        # Without a template nothing is made, nor may other names be asked for.
        live = self._objects.read(self._name) if os.environ.get(VARIABLE) else None
        return split_pins(value_of(live)) if live is not None else {}

    def servers_of(self, model: str) -> ModelServers:
        """Those of the pool, whose other models have the pins of their active plans."""
        active = Plans().active()
        others = {
            other: pin_of(active[other])
            for other in self.pins()
            if other != model and other in active
        }
        return ModelServers(self._deployment, model, others)

    def ensure(self, servers: ModelServers, pin: str) -> None:
        """Apply the objects of the pool; a new one begins with this pin of the model.

        A pod without a pin would serve every model of the storage.
        """
        live = self._objects.read(self._name)
        value = value_of(live) if live is not None else None
        source = pool_of(self._objects.template(self._name))
        wanted = objects_of(source, POOL, ServingSpec(), live)
        template = wanted["deployment"]["spec"]["template"]
        annotate(template, ANNOTATION, value or servers.value(pin))
        self._objects.bring(self._name, source, wanted, live)

    def bring_requests(self, model: str) -> None:
        """Let the Service of the model select the pool, and delete its own servers."""
        name = deployment_name(model)
        self._objects.apply(ways_to_pool(self._objects.template(name), model))
        if self._objects.read(name) is not None:
            self._objects.delete(name, OWN)

    def roll_out(
        self, servers: ModelServers, forward: Edit, former: str | None, check: Check
    ) -> Object:
        """Change the pins, and return to the `former` one of the model if that fails.

        Raises
        ------
        FailedRolloutError
            As `roll_out_or_undo`; where there is nothing to return to, the pool was
            deleted.
        """
        undo = servers.value(former)
        if undo is not None:
            return roll_out_or_undo(
                servers.deployment, forward, pin_to(undo), self._timeout, check
            )
        try:
            return roll_out(servers.deployment, forward, self._timeout, check)
        except (ClusterError, OvertakenError):
            raise
        except BaseException as error:
            # If the run was cancelled, too: what nobody waits for must not serve.
            self._objects.delete(self._name, PARTS)
            if not isinstance(error, StuckError):
                raise
            raise FailedRolloutError(
                f"{error} | the shared pool served no other model, and was deleted",
                True,
            ) from error

    def leave(self, model: str) -> None:
        """Take a model out of the pool; the last one takes the pool with it."""
        value = self.servers_of(model).value(None)
        if value is None:
            self._objects.delete(self._name, PARTS)
            return
        # There is nothing to return to: this is what ought to serve.
        edit = pin_to(value)
        roll_out_or_undo(self._deployment, edit, edit, self._timeout)
