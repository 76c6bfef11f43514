"""Models that share the servers of one Deployment: joined, deployed, moved, retired."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ml_assets.delivery import environments
from ml_assets.delivery.rollout import Fleet
from ml_assets.lifecycle.retirement import retire
from ml_assets.records.pins import join_pins, split_pins
from ml_assets.records.plan import Arm, ServingPlan, pin_of
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, UnreachableError, kubernetes
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets.targets.model_template import RELEASE
from ml_assets_tests.kits.chart import EVERYTHING, Object
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_chart import Serving, chart, upgrade, yaml_of_model
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.kubernetes_site import NAME, a, api, b, root, storage, url
from ml_assets_tests.kits.plans import apply, published
from ml_assets_tests.kits.serving import plan

__all__ = ["a", "api", "b", "chart", "root", "storage", "url", "yaml_of_model"]

POOL, CHURN = "ml-assets-shared-pool", "ml-assets-churn"
FOUR = {"Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Deployment"}
OWN, SHARED = ServingSpec(), ServingSpec(pool="shared")


class Killed(BaseException):
    """The deployer is gone, whatever it was about to do."""


class Yamls:
    """The key `serving` of each model's YAML; every other model has none."""

    def __init__(self, **of: ServingSpec) -> None:
        self.of = of

    def find(self, model: str) -> Serving | None:
        if model not in self.of:
            return None
        found = Serving()
        found.of = self.of[model]
        return found


@pytest.fixture
def yamls(monkeypatch: pytest.MonkeyPatch) -> Yamls:
    found = Yamls(census=SHARED, churn=SHARED)
    monkeypatch.setattr(kubernetes, "find", found.find)
    return found


@pytest.fixture
def cluster(chart: KubernetesApi, yamls: Yamls, url: str) -> Iterator[KubernetesApi]:
    """Pods load every plan that they are pinned to, or are not ready."""
    plans = published(url)

    def judge(pod: Pod) -> str | None:
        value = pod.annotations.get(ANNOTATION)
        if value is None and pod.name.startswith(POOL):
            return "it serves every model"
        pins = split_pins(value) or ({"census": value} if value else {})
        gone = [pin for item in pins.items() if not plans.pinned(*item) for pin in item]
        return f"there is no plan {gone}" if gone else None

    chart.judge = judge
    yield chart


@pytest.fixture
def target(cluster: KubernetesApi) -> KubernetesTarget:
    return KubernetesTarget(cluster.cluster(), timeout=20.0)


def churn(arm: Arm, generation: int = 1) -> ServingPlan:
    return plan(arm, generation, model="churn")


def pinned(api: KubernetesApi, name: str = POOL) -> set[Any]:
    """What the ready pods are pinned to."""
    return {pod.annotations.get(ANNOTATION) for pod in api.pods(name) if pod.ready}


def pins(*plans: ServingPlan) -> str:
    return join_pins({found.model: pin_of(found) for found in plans})


def selected(api: KubernetesApi, name: str = NAME) -> str:
    """The model whose servers a Service selects."""
    return api.objects.of["Service", name]["spec"]["selector"]["ml-assets.dev/model"]


def test_two_models_share_one_deployment_and_keep_their_services(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    assert pinned(cluster) == {pins(plan(a, 1))}
    apply(target, churn(b))
    assert pinned(cluster) == {pins(plan(a, 1), churn(b))}
    assert cluster.objects.names(POOL) == FOUR
    assert cluster.objects.names(NAME) == cluster.objects.names(CHURN) == {"Service"}
    assert selected(cluster) == selected(cluster, CHURN) == "shared-pool"
    (container,) = cluster.template(POOL)["spec"]["containers"]
    assert "ML_ASSETS_MODEL" not in {item["name"] for item in container["env"]}
    # The pods are scraped once, by the Service of the pool.
    services = cluster.objects.of
    ports = {
        name: [port["name"] for port in services["Service", name]["spec"]["ports"]]
        for name in (POOL, NAME, CHURN)
    }
    assert ports == {POOL: ["http", "metrics"], NAME: ["http"], CHURN: ["http"]}
    apply(target, plan(b, 2))
    assert pinned(cluster) == {pins(plan(b, 2), churn(b))}


def test_the_chart_sizes_the_pool_and_an_upgrade_reaches_it_without_losing_the_pins(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    amounts = {"cpu": "2", "memory": "3Gi"}
    fixed = {
        "replicas": 3,
        "autoscaling": {"enabled": False},
        "resources": {"requests": amounts, "limits": amounts},
    }
    upgrade(cluster, modelTemplate={"sharedPool": fixed}, ingress=EVERYTHING["ingress"])
    apply(target, plan(a, 1))
    spec = cluster.deployments[POOL]["spec"]
    assert spec["replicas"] == 3
    (container,) = spec["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == amounts
    assert cluster.objects.names(POOL) == FOUR - {"HorizontalPodAutoscaler"}
    assert cluster.objects.names(NAME) == {"Service", "Ingress"}
    apply(target, churn(b))
    assert pinned(cluster) == {pins(plan(a, 1), churn(b))}


def test_a_refused_plan_leaves_the_pool_as_it_was(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    apply(target, churn(a))
    refuse(cluster, churn(b, 2), "churn")
    with pytest.raises(RolloutError, match="refused the plan: b was altered") as caught:
        apply(target, churn(b, 2))
    assert not isinstance(caught.value, UnreachableError)
    assert pinned(cluster) == {pins(plan(a, 1), churn(a))}
    assert Plans().current("churn") == churn(a)


def test_a_refused_first_model_leaves_no_pool_behind(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    refuse(cluster, plan(a, 1), "census")
    with pytest.raises(RolloutError, match="served no other model, and was deleted"):
        apply(target, plan(a, 1))
    assert cluster.objects.names(POOL) == set()
    assert target.published.of_generation("census", 1) == []


def test_a_plan_is_not_refused_for_another_model_of_the_pool(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    apply(target, churn(a))
    refuse(cluster, churn(b, 2), "census")
    with pytest.raises(UnreachableError, match="the plan of census: b was altered"):
        apply(target, churn(b, 2))
    assert pinned(cluster) == {pins(plan(a, 1), churn(a))}


@pytest.mark.parametrize("others", [True, False])
def test_a_move_to_the_pool_and_back_always_has_servers_that_are_ready(
    cluster: KubernetesApi,
    target: KubernetesTarget,
    yamls: Yamls,
    a: Arm,
    b: Arm,
    others: bool,
) -> None:
    yamls.of["census"] = OWN
    if others:
        apply(target, churn(b))
    apply(target, plan(a, 1))
    seen = watched(cluster)
    yamls.of["census"] = SHARED
    apply(target, plan(b, 2))
    assert cluster.objects.names(NAME) == {"Service"}
    yamls.of["census"] = OWN
    apply(target, plan(a, 3))
    assert cluster.objects.names(NAME) == FOUR
    assert pinned(cluster, NAME) == {pin_of(plan(a, 3))}
    assert cluster.objects.names(POOL) == (FOUR if others else set())
    assert not others or pinned(cluster) == {pins(churn(b))}
    assert seen() == {1, 2, 3}


def test_a_move_to_a_pool_that_refuses_the_model_leaves_it_where_it_is(
    cluster: KubernetesApi, target: KubernetesTarget, yamls: Yamls, a: Arm, b: Arm
) -> None:
    yamls.of["census"] = OWN
    apply(target, plan(a, 1))
    apply(target, churn(b))
    refuse(cluster, plan(a, 1), "census")
    seen = watched(cluster)
    yamls.of["census"] = SHARED
    # It is no verdict on the new version.
    with pytest.raises(UnreachableError, match="refused the plan: b was altered"):
        apply(target, plan(b, 2))
    assert selected(cluster) == "census" and cluster.objects.names(NAME) == FOUR
    assert pinned(cluster) == {pins(churn(b))}
    assert seen() == {1}


@pytest.mark.parametrize(
    "way, step",
    # Before the pool is applied, pinned, selected; the own servers are deleted, first
    # and last; the new plan is pinned. Before the own servers are complete, pinned,
    # selected; the pool is left; the new plan is pinned.
    [("in", 7), ("out", 4)]
    + [pytest.param("in", step, marks=pytest.mark.slow) for step in (1, 6, 8, 11, 12)]
    + [pytest.param("out", step, marks=pytest.mark.slow) for step in (3, 6, 10, 11)],
)
def test_a_deployer_killed_in_a_move_is_followed_by_one_that_finishes(
    cluster: KubernetesApi,
    target: KubernetesTarget,
    yamls: Yamls,
    a: Arm,
    b: Arm,
    way: str,
    step: int,
) -> None:
    first, then = (OWN, SHARED) if way == "in" else (SHARED, OWN)
    yamls.of["census"] = first
    apply(target, plan(a, 1))
    apply(target, churn(b))
    seen = watched(cluster)
    yamls.of["census"] = then
    killed = KubernetesTarget(cluster.cluster(), timeout=20.0)
    die_at(killed, step)
    with pytest.raises(Killed):
        apply(killed, plan(b, 2))
    # Whoever deploys another model of the pool keeps none of what was tried.
    apply(target, churn(a, 2))
    if Plans().current("census") == plan(a, 1):
        apply(target, plan(a, 2))
    else:
        apply(target, plan(b, 2))
    assert seen() <= {1, 2}
    found = Plans().current("census")
    assert found is not None and found.generation == 2
    if way == "in":
        assert cluster.objects.names(NAME) == {"Service"}
        assert pinned(cluster) == {pins(found, churn(a, 2))}
    else:
        assert cluster.objects.names(NAME) == FOUR
        assert pinned(cluster, NAME) == {pin_of(found)}
        assert pinned(cluster) == {pins(churn(a, 2))}


def test_a_retired_model_leaves_the_pool_and_the_last_one_takes_it_along(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    apply(target, churn(b))
    outcome = retire(target, "census", "user ada", "no use").outcome
    assert outcome == f"deleted Service {NAME}, and took census out of the pool"
    assert cluster.objects.names(NAME) == set()
    assert pinned(cluster) == {pins(churn(b))}
    retire(target, "churn", "user ada", "no use")
    assert not cluster.objects.names(CHURN) and not cluster.objects.names(POOL)
    apply(target, plan(b, 2))
    assert pinned(cluster) == {pins(plan(b, 2))}


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_killed_retirement_is_finished_by_the_next(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm, step: int
) -> None:
    apply(target, plan(a, 1))
    apply(target, churn(b))
    killed = KubernetesTarget(cluster.cluster(), timeout=20.0)
    die_at(killed, step)
    with pytest.raises(Killed):
        retire(killed, "census", "user ada", "no use")
    retire(target, "census", "user ada", "no use")
    assert cluster.objects.names(NAME) == set()
    assert pinned(cluster) == {pins(churn(b))}


def test_a_release_of_the_platform_reaches_the_pool_and_asks_each_of_its_models(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    apply(target, churn(b))
    cluster.add("code", replicas=1)
    models = {"census": NAME, "churn": CHURN, "wine": "ml-assets-wine"}
    fleet = Fleet(
        cluster.cluster(), "code", {**models, "shared-pool": POOL}, 20.0, lambda: None
    )
    assert fleet.serving() == {"census": NAME, "churn": CHURN}
    assert {*fleet.running()} == {POOL, "code"}
    assert environments.models()["shared-pool"] == POOL

    def release(found: Object) -> None:
        template = found["spec"]["template"]
        template["metadata"]["annotations"][RELEASE] = "4"
        template["spec"]["containers"][0]["image"] = "theirs"

    cluster.edit(POOL, release, "ml-assets-delivery")
    apply(target, plan(b, 2))
    assert cluster.template(POOL)["spec"]["containers"][0]["image"] == "theirs"
    assert pinned(cluster) == {pins(plan(b, 2), churn(b))}


def test_a_model_that_the_chart_names_is_not_in_the_pool(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    upgrade(cluster, models={"census": {}})
    with pytest.raises(RolloutError, match=f"Deployment {NAME} is Helm's: take the"):
        apply(target, plan(a, 1))
    assert cluster.objects.names(POOL) == set()


def test_no_model_takes_the_name_of_the_pool(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    with pytest.raises(RolloutError, match=f"shared pool's Deployment, {POOL}: exp"):
        apply(target, plan(a, 1, model="shared_pool"))
    assert cluster.objects.names(POOL) == set()


def test_a_chart_without_a_pool_is_named(
    cluster: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    data = cluster.objects.of["ConfigMap", "ml-assets-model-template"]["data"]
    for key in [key for key in data if key.startswith("pool.")]:
        del data[key]
    with pytest.raises(RolloutError, match="no template of the shared pool: upgrade"):
        apply(target, plan(a, 1))


def refuse(api: KubernetesApi, bad: ServingPlan, whose: str) -> None:
    """Pods that are pinned to a plan are not ready, for the plan of `whose`."""
    good, line = api.judge, {"message": "plan refused", "labels.model": whose}

    def is_bad(pod: Pod) -> bool:
        value = pod.annotations.get(ANNOTATION)
        return split_pins(value).get(bad.model) == pin_of(bad)

    api.judge = lambda pod: "refused" if is_bad(pod) else good(pod)
    text = str({**line, "event.reason": "b was altered"}).replace("'", '"')
    api.log = lambda pod: [text] if is_bad(pod) else []


def watched(api: KubernetesApi) -> Callable[[], set[int]]:
    """The generations of census that its Service reached, once per change.

    A ready pod must be there each time; one of the pool must be pinned to the model.
    """
    found: set[int] = set()
    faults: list[str] = []
    real = api._store

    def check(name: str, kind: str) -> None:
        real(name, kind)
        service = api.objects.of.get(("Service", NAME))
        if service is None:
            faults.append("no Service")
            return
        wanted = service["spec"]["selector"].items()
        values = [
            pod.annotations.get(ANNOTATION)
            for sets in api.sets.values()
            for pod in sets.pods
            if pod.ready and wanted <= pod.template["metadata"]["labels"].items()
        ]
        is_pool = ("ml-assets.dev/model", "shared-pool") in wanted
        census = [split_pins(v).get("census") if is_pool else v for v in values]
        if not values or (is_pool and None in census):
            faults.append(f"{name} {kind}: {values}")
        found.update(int(pin.partition("-")[0]) for pin in census if pin)

    api._store = check  # type: ignore[method-assign]

    def seen() -> set[int]:
        assert faults == []
        return found

    return seen


def die_at(target: KubernetesTarget, step: int) -> None:
    """Kill the deployer before the change with this number: it changes nothing more."""
    objects = target._objects._objects
    left = iter(range(1, 1000))

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if next(left) >= step:
                raise Killed
            return real(*arguments)

        return call

    cluster: Object = vars(target._cluster)
    objects.apply = counted(objects.apply)  # type: ignore[method-assign]
    objects.delete = counted(objects.delete)  # type: ignore[method-assign]
    cluster["patch_deployment"] = counted(target._cluster.patch_deployment)
