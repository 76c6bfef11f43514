"""No upgrade of a chart conflicts with, or sets back, what others wrote on a cluster.

The kind: a field of an object of a chart that somebody besides Helm writes. Helm 4
applies on the server, and conflicts with an owner of another value; Helm 3 computes a
patch of three ways, and writes over it.
"""

import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from ml_assets.delivery.attempts import Attempt
from ml_assets.delivery.rollout import ANNOTATION as RELEASE
from ml_assets.delivery.rollout import CURRENT_IMAGE
from ml_assets.delivery.rollout import MANAGER as DELIVERY
from ml_assets.delivery.rollout import Fleet
from ml_assets.targets.clusters import Deployment
from ml_assets.targets.kubernetes import ANNOTATION as PLAN
from ml_assets.targets.kubernetes import MANAGER as DEPLOYER
from ml_assets.targets.model_servers import pin_to
from ml_assets_tests.kits import dagster_chart
from ml_assets_tests.kits.chart import CHART, ROOT, STORAGE, Object, merge, pick
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_fields import Conflict, leaves, put, remove

SERVERS = "ml-assets-breast-cancer"
CODE = "dagster-dagster-user-deployments-ml-assets"
ON = {"deployer": {"codeLocation": CODE}}
FIRST, SECOND, OTHER = (f"sha256:{digit * 64}" for digit in "123")
LOOKUP = 'lookup "apps/v1" "Deployment" .root.Release.Namespace .name'
TEMPLATE = ("template", "spec", "containers")


def servers(live: Object, **overrides: Any) -> Object:
    """The spec of a model's Deployment, as a render that sees `live` makes it.

    What Helm looks up comes from a value: here there is no cluster to ask.
    """
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "chart"
        shutil.copytree(CHART, folder)
        (folder / "values.schema.json").unlink()
        helpers = folder / "templates" / "_helpers.tpl"
        text = helpers.read_text()
        assert text.count(LOOKUP) == 1
        helpers.write_text(text.replace(LOOKUP, "get .root.Values.live .name"))
        values = merge(
            {**STORAGE, **ON, "live": {SERVERS: live} if live else {}}, overrides
        )
        with helm_python.Chart.load(folder) as chart:
            texts = chart.render(values, name="ml-assets", namespace="ml")
    (path,) = [path for path in texts if path.endswith("model-servers.yaml")]
    return _spec([*yaml.safe_load_all(texts[path])], SERVERS)


def code_location(live: Object, **overrides: Any) -> Object:
    """The spec of the code location's Deployment, upgraded as the guide says."""
    values = dagster_chart.values(**overrides)
    if live:
        image = live["spec"]["template"]["spec"]["containers"][0]["image"]
        repository, _, tag = image.rpartition(":")
        (only,) = values["dagster-user-deployments"]["deployments"]
        only["image"] = {**only["image"], "repository": repository, "tag": tag}
    return _spec(dagster_chart.described(values), CODE)


def _spec(objects: list[Object], name: str) -> Object:
    spec = pick([item for item in objects if item], "Deployment", name)["spec"]
    spec.setdefault("selector", {"matchLabels": {"app.kubernetes.io/name": "x"}})
    labels = spec["template"]["metadata"].setdefault("labels", {})
    labels.update(spec["selector"]["matchLabels"])
    return spec


class Helm:
    """What Helm does to one Deployment, by version."""

    def __init__(self, api: KubernetesApi, name: str, version: int) -> None:
        self.api, self.name, self.version = api, name, version
        self.manifest: Object = {}

    def install(self, spec: Object) -> None:
        self.api.add(self.name, **copy.deepcopy(spec))
        self.upgrade(spec)

    def upgrade(self, spec: Object) -> None:
        """Or a rollback, which applies a manifest of before."""
        if self.version == 4:
            self.api.apply(self.name, spec, "helm")
        else:
            self.api.edit(self.name, lambda found: self._patch(found, spec), "helm")
        self.manifest = copy.deepcopy(spec)

    def _patch(self, found: Object, spec: Object) -> None:
        wanted = dict(leaves(spec))
        for path, value in wanted.items():
            put(found["spec"], path, value)
        if self.manifest:
            for path in dict(leaves(self.manifest)).keys() - wanted.keys():
                remove(found["spec"], path)

    @property
    def live(self) -> Object:
        return copy.deepcopy(self.api.deployments[self.name])


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi().running() as api:
        yield api


def deploys(api: KubernetesApi, root: Path, name: str, number: int) -> None:
    """The deployer pins the Deployment to a plan."""
    Deployment(api.cluster(), name, DEPLOYER).change(pin_to(f"{number}-abc"))


def delivers(api: KubernetesApi, root: Path, name: str, number: int) -> None:
    """A release of the platform reaches the Deployment."""
    digest = (FIRST, SECOND)[number - 1]
    image = f"ghcr.io/acme/ml-assets@{digest}"
    models = {} if name == CODE else {"breast_cancer": name}
    fleet = Fleet(api.cluster(), CODE, models, 20.0, lambda: None)
    given: Any = dict.fromkeys(Attempt.__struct_fields__, "")
    before = api.template(name)["spec"]["containers"][0]["image"]
    wanted = {name: image}
    given |= {"number": number, "wanted": wanted, "before": {name: before}}
    fleet.deploy(Attempt(**given))


def scales(api: KubernetesApi, root: Path, name: str, number: int) -> None:
    """The autoscaler sets the number of replicas."""
    manager = "kube-controller-manager"
    api.edit(name, lambda found: found["spec"].update(replicas=2 + number), manager)


IMAGE = (*TEMPLATE, "[model-server]", "image")
CODE_IMAGE = (*TEMPLATE, "[dagster-user-deployments]", "image")
IMAGE_VARIABLE = (
    *TEMPLATE,
    "[dagster-user-deployments]",
    "env",
    f"[{CURRENT_IMAGE}]",
    "value",
)
ANNOTATIONS = ("template", "metadata", "annotations")
MORE_CPU = {"modelServer": {"resources": {"limits": {"cpu": "3"}}}}
NEWER = {"images": {"server": {"digest": OTHER}}}
DAEMON = {"dagsterDaemon": {"heartbeatTolerance": 1}}

Writes = Callable[[KubernetesApi, Path, str, int], None]
Render = Callable[..., Object]
ROWS = [
    (servers, SERVERS, deploys, (*ANNOTATIONS, PLAN), DEPLOYER, NEWER),
    (servers, SERVERS, delivers, (*ANNOTATIONS, RELEASE), DELIVERY, NEWER),
    (servers, SERVERS, delivers, IMAGE, DELIVERY, NEWER),
    (servers, SERVERS, scales, ("replicas",), "kube-controller-manager",
     {"modelServer": {"replicas": 9}}),
    (code_location, CODE, delivers, (*ANNOTATIONS, RELEASE), DELIVERY, DAEMON),
    (code_location, CODE, delivers, CODE_IMAGE, DELIVERY, DAEMON),
    (code_location, CODE, delivers, IMAGE_VARIABLE, DELIVERY, DAEMON),
]  # fmt: skip


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "render, name, writes, path, owner, changed",
    ROWS,
    ids=[f"{row[2].__name__} {row[3][-1]} of {row[1]}" for row in ROWS],
)
def test_an_upgrade_takes_nothing_from_who_owns_it(
    api: KubernetesApi,
    tmp_path: Path,
    render: Render,
    name: str,
    writes: Writes,
    path: tuple[str, ...],
    owner: str,
    changed: Object,
    version: int,
) -> None:
    helm = Helm(api, name, version)
    helm.install(render({}))
    writes(api, tmp_path, name, 1)
    assert owner in api.owners[name].managers(path)
    written = dict(leaves(helm.live["spec"]))[path]
    # Another value is upgraded, then the very one, then the first again: a rollback.
    for values in (MORE_CPU, changed, {}):
        helm.upgrade(render(helm.live, **values))
        assert dict(leaves(helm.live["spec"]))[path] == written
    # The owner goes on, whatever Helm applied meanwhile.
    writes(api, tmp_path, name, 2)
    assert dict(leaves(helm.live["spec"]))[path] != written
    helm.upgrade(render(helm.live, **MORE_CPU))


def test_what_was_once_applied_over_a_release_is_a_conflict_that_names_it(
    api: KubernetesApi, tmp_path: Path
) -> None:
    """`helm rollback` applies a manifest of before; the guide names another way."""
    helm = Helm(api, SERVERS, 4)
    helm.install(servers({}))
    delivers(api, tmp_path, SERVERS, 1)
    with pytest.raises(Conflict, match=f'"{DELIVERY}'):
        helm.upgrade(helm.manifest)
    guide = (CHART / "README.md").read_text()
    assert "helm upgrade` with the chart of before" in guide


@pytest.mark.parametrize("live", [{}, {"spec": {"template": {"metadata": {}}}}])
def test_where_no_release_was_the_image_is_that_of_the_values(live: Object) -> None:
    assert servers(live, **NEWER)["template"]["spec"]["containers"][0]["image"] == (
        f"ghcr.io/ml-assets/ml-assets@{OTHER}"
    )


def test_where_releases_are_switched_off_the_image_is_helms_again() -> None:
    template = {"metadata": {"annotations": {RELEASE: "1"}}}
    template["spec"] = {"containers": [{"image": "theirs"}]}  # type: ignore[dict-item]
    live: Object = {"spec": {"template": template}}
    for switch, expected in (
        (CODE, "theirs"),
        ("", f"ghcr.io/ml-assets/ml-assets@{OTHER}"),
    ):
        found = servers(live, deployer={"codeLocation": switch}, **NEWER)
        assert found["template"]["spec"]["containers"][0]["image"] == expected


def test_the_number_of_replicas_is_rendered_only_where_no_autoscaler_owns_it() -> None:
    fixed = {"modelServer": {"autoscaling": {"enabled": False}, "replicas": 4}}
    assert "replicas" not in servers({})
    assert servers({}, **fixed)["replicas"] == 4


def test_the_guide_upgrades_the_code_location_with_the_image_that_it_runs() -> None:
    """The command that the table above follows."""
    for guide in ("helm/ml-assets/README.md", "docs/delivery.md"):
        assert "deployments[0].image" in (ROOT / guide).read_text(), guide
    text = (ROOT / "helm/ml-assets/README.md").read_text()
    assert CODE in text and '.image.tag=${image##*:}"' in text
