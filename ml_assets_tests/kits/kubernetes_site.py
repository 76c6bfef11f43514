"""A storage with two versions, and a cluster whose pods load what they are pinned to.

The fixtures are used where they are imported.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.state.plans import Plans
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.serving import write_version

NAME = "ml-assets-census"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arm, Arm]:
    root = tmp_path_factory.mktemp("storage")
    return root, write_version(root, "a", 0), write_version(root, "b", 1)


@pytest.fixture
def a(storage: tuple[Path, Arm, Arm]) -> Arm:
    return storage[1]


@pytest.fixture
def b(storage: tuple[Path, Arm, Arm]) -> Arm:
    return storage[2]


@pytest.fixture
def root(storage: tuple[Path, Arm, Arm], tmp_path: Path) -> Path:
    """The bundles of two versions, and no plan."""
    (tmp_path / "bundles").symlink_to(storage[0] / "bundles")
    return tmp_path


@pytest.fixture
def url(root: Path) -> str:
    """The storage; a test module may have others."""
    return str(root)


@pytest.fixture
def api(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """A cluster with the model's Deployment; pods load what they are pinned to."""
    api = KubernetesApi()
    plans = published(url)

    def judge(pod: Pod) -> str | None:
        pin = pod.annotations.get(ANNOTATION)
        found = plans.pinned("census", pin) if pin else plans.current("census")
        return None if found else f"there is no plan {pin}"

    api.judge = judge
    api.add(NAME, replicas=2, deadline=2)
    for name, value in api.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ML_ASSETS_TARGET", "kubernetes")
    monkeypatch.setenv("ML_ASSETS_STORAGE", url)
    with api.running():
        yield api


@pytest.fixture
def target(api: KubernetesApi) -> KubernetesTarget:
    return KubernetesTarget(api.cluster())


def tried(target: KubernetesTarget) -> list[ServingPlan]:
    """Plans to which pods may be pinned and that were never active."""
    history = Plans().history("census")
    found = [
        target.published.of_generation("census", generation)
        for generation in range(1, len(history) + 2)
    ]
    return [plan for plans in found for plan in plans if plan not in history]


def serving(api: KubernetesApi) -> set[str | None]:
    """What the ready pods are pinned to."""
    return {pod.annotations.get(ANNOTATION) for pod in api.pods(NAME) if pod.ready}
