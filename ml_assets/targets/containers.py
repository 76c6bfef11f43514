"""The containers of a model: its socket hand-off of compose.yaml, and its servers.

A server gets what its hand-off has: image, environment, user, volumes, networks, limits
and security options. So all of it is declared once, and the hand-off's image name
decides which code serves next.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ml_assets.records.plan import ServingPlan, digest, pin_of
from ml_assets.targets import RolloutError, TargetError

STACK_VARIABLE = "ML_ASSETS_STACK"
DEFAULT_STACK = "ml-assets"
ROLE, MODEL, STACK = "ml-assets.dev/role", "ml-assets.dev/model", "ml-assets.dev/stack"
PLAN, GENERATION = "ml-assets.dev/plan", "ml-assets.dev/generation"
HANDOFF, SERVER = "handoff", "server"
# All servers of a stack answer to this name; Prometheus asks for its addresses.
ALIAS = "model-servers"
# By these `docker compose` knows which containers `down --remove-orphans` removes.
_COMPOSE = "com.docker.compose"
_TAIL_LINES = 5


class Server(NamedTuple):
    """A container of one plan, as the engine reported it at one moment."""

    id: str
    generation: int
    plan: str
    image: str
    status: str
    restarts: int
    exit_code: int

    @property
    def host(self) -> str:
        """Name of the container's machine, by which its servers call themselves."""
        return self.id[:12]

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself, be it started again or not."""
        return self.restarts > 0 or self.status in ("exited", "dead", "restarting")


class Containers:
    """Those of `model` on the engine that ``DOCKER_HOST`` names.

    Raises
    ------
    TargetError
        If the engine does not answer, or has no hand-off of the model.
    """

    def __init__(self, model: str) -> None:
        import docker

        self.model = model
        self.stack = os.environ.get(STACK_VARIABLE) or DEFAULT_STACK
        with _engine_errors():
            self._engine = docker.from_env()
            self._handoff = self._find_handoff()

    def _find_handoff(self) -> dict[str, Any]:
        found = self._engine.containers.list(filters={"label": self._labels(HANDOFF)})
        if len(found) != 1:
            raise TargetError(
                f"{len(found)} running containers are labelled {ROLE}={HANDOFF},"
                f" {MODEL}={self.model} and {STACK}={self.stack}, expected one:"
                " declare the model's hand-off in compose.yaml"
            )
        attributes: dict[str, Any] = found[0].attrs
        return attributes

    def image(self) -> str:
        """Id of the image that the hand-off's image name stands for today."""
        with _engine_errors():
            found: str = self._engine.images.get(self._handoff["Config"]["Image"]).id
        return found

    def servers(self) -> list[Server]:
        """Every server container, running or not, oldest plan first."""
        with _engine_errors():
            found = self._engine.containers.list(
                all=True,
                filters={"label": self._labels(SERVER)},
                ignore_removed=True,
            )
        return sorted(map(_server, found), key=lambda item: item.generation)

    def refresh(self, server: Server) -> Server:
        """The same server, now.

        Raises
        ------
        RolloutError
            If somebody removed it.
        """
        for found in self.servers():
            if found.id == server.id:
                return found
        raise RolloutError(f"container {server.host} was removed by somebody else")

    def start(self, plan: ServingPlan) -> Server:
        """Start a server that is pinned to a plan."""
        name = f"{self.stack}-{self.model}-{plan.generation}-{uuid.uuid4().hex[:6]}"
        with _engine_errors():
            network, *others = self._handoff["NetworkSettings"]["Networks"]
            created = self._engine.api.create_container_from_config(
                self._configuration(plan, network), name
            )
            for other in others:
                self._engine.networks.get(other).connect(created["Id"], aliases=[ALIAS])
            container = self._engine.containers.get(created["Id"])
            container.start()
            container.reload()
        return _server(container)

    def stop(self, server: Server, patience: int) -> None:
        """Let a server finish what is in flight, for `patience` seconds; remove it."""
        with _engine_errors(), _missing_is_fine():
            container = self._engine.containers.get(server.id)
            container.stop(timeout=patience)
            container.remove(force=True)

    def log_tail(self, server: Server) -> str:
        """The last lines that it printed."""
        with _engine_errors():
            container = self._engine.containers.get(server.id)
            text: str = container.logs(tail=_TAIL_LINES).decode(errors="replace")
        return text.strip()

    def _labels(self, role: str) -> list[str]:
        return [f"{ROLE}={role}", f"{MODEL}={self.model}", f"{STACK}={self.stack}"]

    def _configuration(self, plan: ServingPlan, network: str) -> dict[str, Any]:
        """What the engine is asked to create, in the terms of its API."""
        handoff, labels = self._handoff["Config"], self._handoff["Config"]["Labels"]
        inherited = {
            name: value
            for name, value in labels.items()
            if name == f"{_COMPOSE}.project"
        }
        pins = {"ML_ASSETS_MODEL": self.model, "ML_ASSETS_GENERATION": pin_of(plan)}
        kept = [item for item in handoff["Env"] if item.partition("=")[0] not in pins]
        return {
            # The image's own command and health check: those of a model server.
            "Image": handoff["Image"],
            "User": handoff["User"],
            "Env": [*kept, *(f"{name}={value}" for name, value in pins.items())],
            "Labels": {
                **inherited,
                f"{_COMPOSE}.service": f"{self.model}-server",
                f"{_COMPOSE}.oneoff": "False",
                **dict(item.split("=", 1) for item in self._labels(SERVER)),
                PLAN: digest(plan),
                GENERATION: str(plan.generation),
            },
            "HostConfig": {
                **self._handoff["HostConfig"],
                "PortBindings": {},
                "RestartPolicy": {"Name": "unless-stopped"},
                "NetworkMode": network,
            },
            "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [ALIAS]}}},
        }


def _server(container: Any) -> Server:
    state = container.attrs["State"]
    return Server(
        id=container.id,
        generation=int(container.labels[GENERATION]),
        plan=container.labels[PLAN],
        image=container.attrs["Image"],
        status=state["Status"],
        restarts=container.attrs["RestartCount"],
        exit_code=state["ExitCode"],
    )


@contextmanager
def _engine_errors() -> Iterator[None]:
    """Turn an error of the engine, or its silence, into one sentence."""
    from docker.errors import DockerException

    try:
        yield
    except DockerException as error:
        text = " ".join(str(error).split())
        address = os.environ.get("DOCKER_HOST") or "its usual socket"
        raise TargetError(
            f"the Docker engine at {address} did not do what it was asked: {text}"
        ) from error


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    """Pass over a container that is no more: another deployer removed it."""
    from docker.errors import NotFound

    try:
        yield
    except NotFound:
        return
