"""The Deployments of an environment, brought to the images of a release and back.

What changes is the image of the first container, the variable by which the code
location names it to Dagster, and one annotation with the number of the attempt. An
attempt that finds a higher number there, or that it was reverted, changes nothing.

Model servers go first and the code location last: a new server reads what an old code
location writes, and not the other way round.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from ml_assets.delivery.attempts import Attempt
from ml_assets.records.pins import split_pins
from ml_assets.state.locks import deployer_lock
from ml_assets.targets.clusters import (
    Cluster,
    ClusterError,
    Deployment,
    Edit,
    Object,
    OvertakenError,
    StuckError,
    annotate,
    annotation,
    roll_out,
)
from ml_assets.targets.model_servers import ANNOTATION as PLAN
from ml_assets.targets.model_template import RELEASE

ANNOTATION = RELEASE
# The owner of that field and of the images.
MANAGER = "ml-assets-delivery"
RETURNED = "-returned"
# The image that Dagster starts runs from.
CURRENT_IMAGE = "DAGSTER_CURRENT_IMAGE"
# A role that names the Deployments answers 403 for one that the chart did not make.
ABSENT = {403, 404}


class Fleet:
    """The Deployments of one environment that run images of the platform.

    Parameters
    ----------
    cluster : Cluster
    code_location : str
        The Deployment of the code location.
    models : dict of str to str
        Model to the Deployment of its servers; one that does not exist is left out.
    patience : float
        Seconds for one rollout.
    require_lock : callable
        Raises `LockError` if the environment is no longer ours to change.
    """

    def __init__(
        self,
        cluster: Cluster,
        code_location: str,
        models: Mapping[str, str],
        patience: float,
        require_lock: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self.code_location = code_location
        self._models = models
        self._patience = patience
        self._require_lock = require_lock

    def running(self) -> dict[str, str]:
        """Deployment to the image that it runs, in the order in which they change."""
        servers = {
            name: _container(found["template"])["image"]
            for name in self._models.values()
            if (found := self._find(name)) is not None
        }
        own = self._deployment(self.code_location).read()["spec"]["template"]
        return {**servers, self.code_location: _container(own)["image"]}

    def serving(self) -> dict[str, str]:
        """Model to Service, of the models that have a plan in service, and servers.

        A Service has the name of the model's own Deployment, also where the servers are
        those of the shared pool. One that is scaled to zero has none while nobody asks.
        """
        served: list[str] = []
        for model, name in self._models.items():
            found = self._find(name)
            pin = annotation(found["template"], PLAN) if found else None
            if found and pin is not None and found.get("replicas", 1) > 0:
                served += split_pins(pin) or [model]
        return {model: name for model, name in self._models.items() if model in served}

    def deploy(self, attempt: Attempt) -> None:
        """Bring every Deployment to the images of an attempt; again is allowed.

        Raises
        ------
        StuckError
            If a rollout failed; it, and those before it, are still to be reverted.
        OvertakenError
            If somebody changes the environment with a higher number.
        """
        for name, image in attempt.wanted.items():
            self._bring(name, image, attempt, "")

    def revert(self, attempt: Attempt) -> list[str]:
        """Bring every Deployment to what ran before; the problems, if there are any.

        Raises
        ------
        OvertakenError
            If somebody changes the environment with a higher number.
        """
        problems = []
        for name in reversed(attempt.wanted):
            try:
                self._bring(name, attempt.before[name], attempt, RETURNED)
            except StuckError as error:
                problems.append(f"{name}: {error}")
        return problems

    def _bring(self, name: str, image: str, attempt: Attempt, suffix: str) -> None:
        """Change a Deployment, and await the rollout if its pods can be ready."""
        edit = self._edit(name, image, attempt, suffix)
        mark = f"{attempt.number}{suffix}"
        deployment, ends = self._deployment(name), time.monotonic() + self._patience
        while True:
            try:
                with self._without_deployers(name):
                    self._require_lock()
                    if self._can_be_ready(deployment):
                        roll_out(deployment, edit, self._patience)
                    else:
                        deployment.change(edit)
                return
            except OvertakenError:
                # A deployment of a version from elsewhere changes it too.
                template = deployment.read()["spec"]["template"]
                is_ours = annotation(template, ANNOTATION) == mark
                if not is_ours or time.monotonic() > ends:
                    raise

    def _without_deployers(self, name: str) -> AbstractContextManager[object]:
        """The lock under which nobody of this storage deploys a version there."""
        for model, deployment in self._models.items():
            if deployment == name:
                return deployer_lock(model)
        return contextlib.nullcontext()

    def _can_be_ready(self, deployment: Deployment) -> bool:
        """A model server is ready when it has loaded a plan, and never without one."""
        if deployment.name == self.code_location:
            return True
        return annotation(deployment.read()["spec"]["template"], PLAN) is not None

    def _edit(self, name: str, image: str, attempt: Attempt, suffix: str) -> Edit:
        """The edit that puts an image and the attempt's mark into a pod template."""
        is_code_location = name == self.code_location

        def edit(template: Object) -> None:
            _refuse_later(template, attempt.number, suffix)
            container = _container(template)
            container["image"] = image
            if is_code_location:
                _set_variable(container, CURRENT_IMAGE, image)
            annotate(template, ANNOTATION, f"{attempt.number}{suffix}")

        return edit

    def _find(self, name: str) -> Object | None:
        try:
            found: Object = self._deployment(name).read()["spec"]
        except ClusterError as error:
            if error.status in ABSENT:
                return None
            raise
        return found

    def _deployment(self, name: str) -> Deployment:
        return Deployment(self._cluster, name, MANAGER)


def _refuse_later(template: Object, number: int, suffix: str) -> None:
    """Raise where a later attempt was here, or this one was reverted already."""
    mark = annotation(template, ANNOTATION) or "0"
    found, hyphen, _ = mark.partition("-")
    is_later = found.isdigit() and int(found) > number
    is_reverted = found == str(number) and bool(hyphen) and not suffix
    if is_later or is_reverted:
        raise OvertakenError(
            f"it has the mark {mark} of a release, and ours is {number}{suffix}"
        )


def _container(template: Object) -> Object:
    """The first container is the one that the Deployment is for."""
    found: Object = template["spec"]["containers"][0]
    return found


def _set_variable(container: Object, name: str, value: str) -> None:
    variables = [{**item} for item in container.get("env") or []]
    if not any(item["name"] == name for item in variables):
        variables.append({"name": name})
    container["env"] = [
        {"name": name, "value": value} if item["name"] == name else item
        for item in variables
    ]
