"""Renders the charts as Helm does, and finds the pods in what comes out."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "ml-assets"
VALUES_FILES = ("values", "values-local", "values-staging", "values-production")
EVERYTHING = {
    "exporter": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "ingress": {"enabled": True, "host": "models.example.com"},
    "deployer": {"stepPods": True},
    "modelServer": {"apiKeysSecret": "model-api-keys"},
    "traces": {"endpoint": "http://jaeger-collector.monitoring:4318"},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
    "alertmanager": {"enabled": True, "slack": {"channel": "#models"}},
    "ray": {"enabled": True},
    # The one image that nobody publishes.
    "images": {"ray": {"repository": "registry.example.com/ml-assets"}},
}

Object = dict[str, Any]
# What has no default.
STORAGE: Object = {"storage": {"url": "s3://models/production"}}


class Pod(NamedTuple):
    """A pod or a pod template, and the name of what it is in."""

    owner: str
    metadata: Object
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Its containers, those that run first included."""
        return [*(self.spec.get("initContainers") or []), *self.spec["containers"]]


def render(
    overrides: Object | None = None, values_file: str = "values"
) -> list[Object]:
    """The objects that `helm install` would create, tests included."""
    return json.loads(_render(json.dumps(overrides or {}), values_file))


def everything() -> list[Object]:
    """The objects with every switch on."""
    return render(EVERYTHING)


def merge(base: Object, overrides: Object) -> Object:
    """`base` with `overrides` laid over it, as Helm merges values."""
    merged = dict(base)
    for key, value in overrides.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def pods(objects: list[Object]) -> Iterator[Pod]:
    """Every pod, whatever starts it."""
    for item in objects:
        if item["kind"] == "Pod":
            yield Pod(label(item), item["metadata"], item["spec"])
        elif item["kind"] == "RayCluster":
            for group in ray_groups(item):
                template = group["template"]
                yield Pod(label(item), template["metadata"], template["spec"])
        elif "template" in item.get("spec", {}):
            template = item["spec"]["template"]
            yield Pod(label(item), template["metadata"], template["spec"])


def ray_groups(item: Object) -> list[Object]:
    """The head of a Ray cluster and its groups of workers."""
    return [item["spec"]["headGroupSpec"], *item["spec"]["workerGroupSpecs"]]


def pick(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = [item for item in objects if label(item) == f"{kind}/{name}"]
    return found


def label(item: Object) -> str:
    """How a message names an object."""
    return f"{item['kind']}/{item['metadata']['name']}"


@cache
def _render(overrides: str, values_file: str) -> str:
    values = merge(STORAGE | _read(values_file), json.loads(overrides))
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name="ml-assets", namespace="ml")
    manifests = [text for path, text in texts.items() if path.endswith(".yaml")]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    items = [item for text in manifests for item in yaml.load_all(text, loader)]
    return json.dumps([item for item in items if item])


@cache
def _read(values_file: str) -> Object:
    text = (CHART / f"{values_file}.yaml").read_text()
    return {} if values_file == "values" else yaml.safe_load(text)
