"""The chart on the cluster in small, which names no model of its own accord.

The fixtures are used where they are imported.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from ml_assets.spec.operation import ServingSpec
from ml_assets.targets import kubernetes
from ml_assets.targets.clusters.objects import CUSTOM, KINDS
from ml_assets_tests.kits.chart import render
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_site import NAME

TEMPLATE = "ml-assets-model-template"


def upgrade(api: KubernetesApi, **values: Any) -> None:
    """Helm 4 applies those objects of the chart that the cluster double keeps."""
    for item in render(values):
        if item["kind"] in {*KINDS, *CUSTOM}:
            api.objects.apply(item, "helm")


class Serving:
    """The key `serving` of the model's YAML; None where there is no YAML."""

    def __init__(self) -> None:
        self.of: ServingSpec | None = ServingSpec()

    @property
    def serving(self) -> ServingSpec:
        assert self.of is not None
        return self.of


@pytest.fixture
def yaml_of_model(monkeypatch: pytest.MonkeyPatch) -> Serving:
    found = Serving()
    monkeypatch.setattr(kubernetes, "find", lambda model: found if found.of else None)
    return found


@pytest.fixture
def chart(
    api: KubernetesApi, yaml_of_model: Serving, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesApi]:
    """The chart is installed, and does not name the model."""
    api.delete(NAME)
    monkeypatch.setenv("ML_ASSETS_MODEL_TEMPLATE", TEMPLATE)
    upgrade(api)
    yield api
