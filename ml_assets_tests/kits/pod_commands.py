"""Holds every command, probe, hook and image of a rendered pod against the real one."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ml_assets
from ml_assets_tests.kits.chart import ROOT, Object, label, pods, ray_groups
from ml_assets_tests.kits.pod_programs import (
    DOCKERFILE,
    Ask,
    Box,
    Refused,
    Started,
    started,
)

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
# Where the documents say that the one image which nobody publishes is to be pushed.
RAY = "registry.example.com/ml-assets"


def problems(objects: list[Object]) -> list[str]:
    """What would not work of the pods of these objects."""
    return [*_problems(objects)]


def _problems(objects: list[Object]) -> Iterator[str]:
    parameters = [
        group["rayStartParams"]
        for item in objects
        if item["kind"] == "RayCluster"
        for group in ray_groups(item)
    ]
    for pod in pods(objects):
        start = None
        if pod.owner.startswith("RayCluster/"):
            start = _ray_start(parameters.pop(0))
        for container in pod.containers:
            with tempfile.TemporaryDirectory() as root:
                try:
                    box = _box(container, pod.spec, objects, Path(root))
                    found = started(start or _command(container, box.target), box)
                except Refused as error:
                    yield f"{pod.owner}, {container['name']}: {error}"
                    continue
                for text in _wrong(container, found, box):
                    yield f"{pod.owner}, {container['name']}: {text}"


def target_of(image: str) -> str:
    """The target of the Dockerfile that an image was built of.

    The rule is that of docker/publish.sh: ``<repository>:<name>-<target>``.
    """
    script = (ROOT / "docker" / "publish.sh").read_text()
    found = re.search(r"^targets=\((.*)\)$", script, re.MULTILINE)
    assert found and '"$repository:$1-$target"' in script
    chart = f"ghcr.io/ml-assets/ml-assets:v{ml_assets.__version__}-"
    names = {f"{chart}{target}": target for target in found[1].split()}
    names[f"{RAY}:v{ml_assets.__version__}-ray"] = "ray"
    if image not in names:
        raise Refused(f"nobody publishes the image {image}: expected {sorted(names)}")
    return names[image]


def _box(container: Object, spec: Object, objects: list[Object], root: Path) -> Box:
    volumes = {item["name"]: item for item in spec.get("volumes") or []}
    maps = {
        label(item): item["data"] for item in objects if item["kind"] == "ConfigMap"
    }
    mounts = container.get("volumeMounts") or []
    for mount in mounts:
        place = root / mount["mountPath"].strip("/")
        volume = volumes.get(mount["name"])
        if volume is None:
            raise Refused(f"{mount['mountPath']} is of no volume of the pod")
        if "configMap" not in volume:
            place.mkdir(parents=True, exist_ok=True)
            continue
        # One that another release makes holds what this one cannot know.
        data = maps.get(f"ConfigMap/{volume['configMap']['name']}", {})
        for key, text in data.items():
            if mount.get("subPath", key) == key:
                file = place if "subPath" in mount else place / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    environment = tuple(
        (item["name"], item["value"])
        for item in container.get("env") or []
        if item["name"].startswith("DAGSTER_CLI_")
    )
    places = tuple(mount["mountPath"] for mount in mounts)
    return Box(target_of(container["image"]), root, places, environment)


def _command(container: Object, target: str) -> list[str]:
    """What Kubernetes starts: `command` replaces the entry point, `args` the rest."""
    arguments = container.get("args")
    if "command" in container:
        return [*container["command"], *(arguments or [])]
    entry = re.findall(r"^ENTRYPOINT \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    assert entry == ['"tini", "--"']
    if arguments is None:
        raise Refused("it names neither a command nor arguments")
    return ["tini", "--", *arguments]


def _ray_start(parameters: Object) -> list[str]:
    """The command that the operator of Ray makes of a group's parameters."""
    head = "num-cpus" in parameters
    where = ["--head"] if head else ["--address=head:6379"]
    return ["ray", "start", *where, *(f"--{k}={v}" for k, v in parameters.items())]


def _wrong(container: Object, found: Started, box: Box) -> Iterator[str]:
    ports = {
        item["name"]: item["containerPort"] for item in container.get("ports") or []
    }
    for name, port in ports.items():
        if port not in found.listens:
            yield f"nothing listens on its port {name}, {port}"
    hooks = container.get("lifecycle") or {}
    handlers = {name: container[name] for name in PROBES if container.get(name)} | hooks
    for name, handler in handlers.items():
        try:
            for ask in _asks(handler, ports, box):
                _check(ask, found)
        except Refused as error:
            yield f"{name}: {error}"


def _asks(handler: Object, ports: dict[str, int], box: Box) -> list[Ask]:
    """What a probe or hook asks of its container."""
    (kind,) = handler.keys() & {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}
    given = handler[kind]
    if kind == "exec":
        return started(given["command"], box).asks
    if kind == "sleep":
        return []
    port = ports.get(given["port"], given["port"])
    names = {"httpGet": "http", "tcpSocket": "tcp", "grpc": "grpc"}
    return [Ask(names[kind], port, given.get("path", ""))]


def _check(ask: Ask, found: Started) -> None:
    if ask.port not in found.listens:
        raise Refused(f"nothing listens on the port {ask.port} that it asks")
    kind, has = found.listens[ask.port]
    if ask.kind not in (kind, "tcp"):
        raise Refused(f"it asks for {ask.kind} where {kind} is spoken")
    if ask.kind == "http" and not has(ask.path):
        raise Refused(f"nothing is served at {ask.path} of port {ask.port}")
