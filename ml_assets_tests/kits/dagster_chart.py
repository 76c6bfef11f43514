"""The pods of the official Dagster chart, for our values.

What its templates make of the values is written down here, as far as commands, probes
and images go, for it cannot be had everywhere. Where DAGSTER_CHART is the path of its
archive, which `make chart` fetches, it is rendered itself, too.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

from ml_assets_tests.kits.chart import ROOT, Object, merge

FOLDER = ROOT / "helm" / "dagster"
# Read now: no test sees what is set for Dagster outside.
ARCHIVE = Path(os.environ.get("DAGSTER_CHART", ""))
WORKSPACE = "/dagster-workspace"
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def is_there() -> bool:
    """Whether the chart's archive can be rendered."""
    return ARCHIVE.is_file()


def values(overlay: str = "values", **overrides: Any) -> Object:
    """Our values with one of the files laid over them, as Helm would."""
    found = yaml.safe_load((FOLDER / "values.yaml").read_text())
    if overlay != "values":
        found = merge(found, yaml.safe_load((FOLDER / f"{overlay}.yaml").read_text()))
    return merge(found, overrides)


def official(given: Object) -> list[Object]:
    """What the chart itself renders; needs its archive."""
    with helm_python.Chart.load(ARCHIVE) as chart:
        texts = chart.render(given, name="dagster", namespace="ml")
    found = [item for text in texts.values() for item in yaml.safe_load_all(text)]
    return [item for item in found if isinstance(item, dict) and "kind" in item]


def described(given: Object) -> list[Object]:
    """What its templates make of the values."""
    return [
        _config_map("dagster-workspace-yaml", "workspace.yaml", _workspace(given)),
        _config_map("dagster-instance", "dagster.yaml", "{}"),
        *_webservers(given),
        _daemon(given),
        *_migration(given),
        *(_code_location(given, item) for item in _locations(given)),
    ]


def _locations(given: Object) -> list[Object]:
    section = given["dagster-user-deployments"]
    return list(section["deployments"]) if section["enabled"] else []


def _workspace(given: Object) -> str:
    servers = [
        {"grpc_server": {"host": item["name"], "port": item["port"]}}
        for item in _locations(given)
    ]
    return yaml.safe_dump({"load_from": servers})


def _config_map(name: str, key: str, text: str) -> Object:
    metadata = {"name": name}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {key: text}}


def _webservers(given: Object) -> Iterator[Object]:
    part = given["dagsterWebserver"]
    options = [
        ("dbStatementTimeout", "--db-statement-timeout"),
        ("dbPoolRecycle", "--db-pool-recycle"),
        ("pathPrefix", "--path-prefix"),
        ("logLevel", "--log-level"),
    ]
    port = part["service"]["port"]
    command = f"dagster-webserver -h 0.0.0.0 -p {port} -w {WORKSPACE}/workspace.yaml"
    for key, option in options:
        command += f" {option} {part[key]}" if part.get(key) else ""
    ports = [{"name": "http", "containerPort": port}]
    for suffix in ["", "-read-only"] if part.get("enableReadOnly") else [""]:
        full = command + (" --read-only" if suffix else "")
        container = {"command": ["/bin/bash", "-c", full], "ports": ports}
        yield _dagster_pod(given, part, f"dagster-dagster-webserver{suffix}", container)


def _daemon(given: Object) -> Object:
    command = f"dagster-daemon run -w {WORKSPACE}/workspace.yaml"
    container = {"command": ["/bin/bash", "-c", command]}
    return _dagster_pod(given, given["dagsterDaemon"], "dagster-daemon", container)


def _migration(given: Object) -> Iterator[Object]:
    if given.get("migrate", {}).get("enabled"):
        part = given["dagsterWebserver"]
        container = {"command": ["dagster"], "args": ["instance", "migrate"]}
        made = _dagster_pod(given, {"image": part["image"]}, "migrate", container)
        del made["spec"]["template"]["spec"]["initContainers"]
        yield {**made, "kind": "Job"}


def _dagster_pod(given: Object, part: Object, name: str, container: Object) -> Object:
    instance = f"{given['global']['dagsterHome']}/dagster.yaml"
    mounts = [
        {"name": "instance", "mountPath": instance, "subPath": "dagster.yaml"},
        {"name": "workspace", "mountPath": f"{WORKSPACE}/"},
        *part.get("volumeMounts", []),
    ]
    volumes = [
        {"name": "instance", "configMap": {"name": "dagster-instance"}},
        {"name": "workspace", "configMap": {"name": "dagster-workspace-yaml"}},
        *part.get("volumes", []),
    ]
    full = {"name": "dagster", "image": _image(part["image"]), "volumeMounts": mounts}
    full |= container | {key: _probe(part[key]) for key in PROBES if part.get(key)}
    spec = {"initContainers": [*_waiting(given, part)], "containers": [full]}
    return _deployment(name, {**spec, "volumes": volumes})


def _waiting(given: Object, part: Object) -> Iterator[Object]:
    if part.get("checkDbReadyInitContainer", True):
        postgres = merge({"image": {"repository": "library/postgres", "tag": "14.6"}},
                         given["postgresql"])  # fmt: skip
        script = (
            f"until pg_isready -h {postgres['postgresqlHost']}"
            f" -p {postgres['service']['port']} -U {postgres['postgresqlUsername']};"
            " do echo waiting for database; sleep 2; done;"
        )
        image = _image(postgres["image"])
        command = ["sh", "-c", script]
        yield {"name": "check-db-ready", "image": image, "command": command}
    for item in _locations(given):
        script = (
            f"until nslookup {item['name']};"
            " do echo waiting for user service; sleep 2; done"
        )
        name = f"init-user-deployment-{item['name']}"
        image = _image(given["busybox"]["image"])
        yield {"name": name, "image": image, "command": ["sh", "-c", script]}


def _code_location(given: Object, item: Object) -> Object:
    address = ["-h", "0.0.0.0", "-p", str(item["port"])]
    if "dagsterApiGrpcArgs" in item:
        arguments = ["dagster", "api", "grpc", *address, *item["dagsterApiGrpcArgs"]]
    else:
        arguments = ["dagster", "code-server", "start", *address]
        arguments += item["codeServerArgs"]
    container = {
        "name": "dagster-user-deployments",
        "image": _image(item["image"]),
        "args": arguments,
        "env": [{"name": "DAGSTER_CURRENT_IMAGE", "value": _image(item["image"])}],
        "volumeMounts": item.get("volumeMounts", []),
    }
    if item.get("includeConfigInLaunchedRuns", {"enabled": True})["enabled"]:
        context = json.dumps({"k8s": {"namespace": "ml"}})
        name = "DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"
        container["env"] += [{"name": name, "value": context}]
    check = ["dagster", "api", "grpc-health-check", "-p", str(item["port"])]
    for key in PROBES:
        # A readiness probe is there unless it is switched off; the others if given.
        probe = item.get(key) or ({} if key == "readinessProbe" else None)
        wanted = key != "startupProbe" or (probe or {}).get("enabled")
        if probe is not None and wanted and probe.get("enabled", True):
            container[key] = _probe({"exec": {"command": check}, **probe})
    spec = {"containers": [container], "volumes": item.get("volumes", [])}
    name = f"dagster-dagster-user-deployments-{item['name']}"
    return _deployment(name, spec)


def _probe(given: Object) -> Object:
    return {key: value for key, value in given.items() if key != "enabled"}


def _image(given: Object) -> str:
    return f"{given['repository']}:{given['tag']}"


def _deployment(name: str, spec: Object) -> Object:
    template = {"metadata": {}, "spec": spec}
    metadata = {"name": name}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"template": template}}
