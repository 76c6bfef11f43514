"""What pods of a rollout have against the plans that they are pinned to."""

from ml_assets.records.plan import ServingPlan, pin_of
from ml_assets.serving.process.refusals import PLAN_REFUSED
from ml_assets.targets.clusters import lines_of_unready
from ml_assets.targets.model_servers import ModelServers, value_of

# The member of a line that names the model.
MODEL = "labels.model"


class RefusalLog:
    """Reads the log of pods that are pinned to `plan`, and are not ready.

    Parameters
    ----------
    servers : ModelServers
    plan : ServingPlan

    Attributes
    ----------
    are_of_others : bool
        Whether what was refused last was the plan of another model of the shared pool.
    """

    def __init__(self, servers: ModelServers, plan: ServingPlan) -> None:
        self._servers = servers
        self._plan = plan
        self.are_of_others = False

    def newest(self) -> str | None:
        """Why a pod refused a plan, that of our model first; None where none did."""
        servers, model = self._servers, self._plan.model
        found = servers.deployment.read()
        if value_of(found) != servers.value(pin_of(self._plan)):
            return None
        reasons: dict[str, str] = {}
        for line in lines_of_unready(servers.deployment, found):
            if line.get("message") == PLAN_REFUSED:
                whose = model if servers.others is None else line.get(MODEL, model)
                reasons.setdefault(whose, str(line.get("event.reason")))
        if not reasons:
            return None
        self.are_of_others = model not in reasons
        if not self.are_of_others:
            return f"a pod refused the plan: {reasons[model]}"
        other, reason = reasons.popitem()
        return f"a pod of the shared pool refused the plan of {other}: {reason}"
