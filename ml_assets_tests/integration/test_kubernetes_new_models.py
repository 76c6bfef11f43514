"""Models that the chart does not name: their objects made, upgraded and removed."""

import re
import threading
from pathlib import Path

import pytest

from ml_assets.lifecycle.activation import roll_out_again
from ml_assets.lifecycle.retirement import RetirementError, retire
from ml_assets.records.plan import Arm, pin_of
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans, publish
from ml_assets.targets import Rollout, RolloutError
from ml_assets.targets.clusters.objects import KINDS
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets.targets.model_objects import MANAGER, ModelObjects
from ml_assets.targets.model_template import RELEASE
from ml_assets_tests.kits.chart import EVERYTHING, Object, pick, render
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_chart import (
    TEMPLATE,
    Serving,
    chart,
    upgrade,
    yaml_of_model,
)
from ml_assets_tests.kits.kubernetes_site import (
    NAME,
    a,
    api,
    b,
    root,
    serving,
    storage,
    target,
    tried,
    url,
)
from ml_assets_tests.kits.plans import apply
from ml_assets_tests.kits.serving import plan

__all__ = [
    "a", "api", "b", "chart", "root", "storage", "target", "url", "yaml_of_model",
]  # fmt: skip

FOUR = {"Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Deployment"}
IMAGE = ("template", "spec", "containers", "[model-server]", "image")


def test_a_new_model_is_deployed_without_an_upgrade_of_the_chart(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == FOUR
    assert serving(chart) == {pin_of(plan(a, 1))}
    made = chart.deployments[NAME]
    ours = pick(render(), "Deployment", "ml-assets-census-income")
    assert made["metadata"]["labels"] == {
        **ours["metadata"]["labels"],
        "ml-assets.dev/model": "census",
        "app.kubernetes.io/managed-by": MANAGER,
    }
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert {"name": "ML_ASSETS_MODEL", "value": "census"} in container["env"]
    apply(target, plan(b, 2))
    assert serving(chart) == {pin_of(plan(b, 2))}


def test_what_is_made_is_what_the_chart_makes_of_a_model_that_it_names(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    named = render({"models": {"census": {}}})
    for kind in FOUR - {"Deployment"}:
        expected = pick(named, kind, NAME)["spec"]
        assert chart.objects.of[kind, NAME]["spec"] == expected, kind
    spec = pick(named, "Deployment", NAME)["spec"]
    metadata = spec["template"]["metadata"]
    metadata["labels"]["app.kubernetes.io/managed-by"] = MANAGER
    metadata["annotations"][ANNOTATION] = pin_of(plan(a, 1))
    # One where nobody sets it: the autoscaler does.
    assert chart.deployments[NAME]["spec"] == {**spec, "replicas": 1}


def test_the_yaml_says_how_many_servers_there_are_and_what_they_may_use(
    chart: KubernetesApi, target: KubernetesTarget, yaml_of_model: Serving, a: Arm
) -> None:
    apply(target, plan(a, 1))
    yaml_of_model.of = ServingSpec.model_validate(
        {"replicas": {"min": 1}, "resources": {"limits": {"memory": "2Gi"}}}
    )
    apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == {"Service", "Deployment"}
    spec = chart.deployments[NAME]["spec"]
    assert spec["replicas"] == 1
    limits = spec["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "memory": "2Gi"}
    yaml_of_model.of = ServingSpec.model_validate({"replicas": {"min": 2, "max": 9}})
    apply(target, plan(a, 1))
    scaling = chart.objects.of["HorizontalPodAutoscaler", NAME]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (2, 9)


def test_upgrades_of_the_chart_and_deployments_never_conflict(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    newer = {"images": {"server": {"digest": f"sha256:{'7' * 64}"}}}
    upgrade(chart, **newer)
    # The pin survives, and the deployment that follows brings the new image.
    assert serving(chart) == {pin_of(plan(a, 1))}
    apply(target, plan(b, 2))
    assert serving(chart) == {pin_of(plan(b, 2))}
    image = chart.template(NAME)["spec"]["containers"][0]["image"]
    assert image.endswith("7" * 64)
    upgrade(chart)
    apply(target, plan(b, 2))
    assert chart.annotation(NAME, ANNOTATION) == pin_of(plan(b, 2))


def test_the_image_that_a_release_of_the_platform_put_there_stays(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))

    def release(found: Object) -> None:
        template = found["spec"]["template"]
        template["metadata"]["annotations"][RELEASE] = "4"
        template["spec"]["containers"][0]["image"] = "theirs"

    chart.edit(NAME, release, "ml-assets-delivery")
    apply(target, plan(b, 2))
    assert chart.template(NAME)["spec"]["containers"][0]["image"] == "theirs"
    assert "ml-assets-delivery" in chart.owners[NAME].managers(IMAGE)
    assert chart.annotation(NAME, RELEASE) == "4"


@pytest.mark.parametrize("models", [{}, {"census": {}}], ids=["made", "named"])
def test_upgrades_deliveries_and_deployments_in_any_order_lose_no_field(
    chart: KubernetesApi,
    target: KubernetesTarget,
    a: Arm,
    b: Arm,
    models: Object,
) -> None:
    released: list[str] = []

    def upgrades(digit: str) -> None:
        # What Helm looks up where a release was: it leaves the image to it.
        digest = {"digest": f"sha256:{digit * 64}"}
        limits = {"limits": {"cpu": digit, "memory": "1Gi"}}
        for item in render(
            {
                "models": models,
                "images": {"server": digest},
                "modelServer": {"resources": limits},
            }
        ):
            if item["kind"] == "Deployment" and released:
                (container,) = item["spec"]["template"]["spec"]["containers"]
                container["image"] = "theirs"
            if item["kind"] in KINDS:
                chart.objects.apply(item, "helm")

    def release(found: Object) -> None:
        template = found["spec"]["template"]
        template["metadata"]["annotations"][RELEASE] = "4"
        template["spec"]["containers"][0]["image"] = "theirs"
        released.append("theirs")

    upgrades("3")
    apply(target, plan(a, 1))
    upgrades("4")
    chart.edit(NAME, release, "ml-assets-delivery")
    upgrades("5")
    apply(target, plan(b, 2))
    upgrades("6")
    apply(target, plan(b, 2))
    assert chart.annotation(NAME, ANNOTATION) == pin_of(plan(b, 2))
    assert chart.annotation(NAME, RELEASE) == "4"
    (container,) = chart.template(NAME)["spec"]["containers"]
    assert container["image"] == "theirs"
    assert container["resources"]["limits"] == {"cpu": "6", "memory": "1Gi"}
    assert "ml-assets-delivery" in chart.owners[NAME].managers(IMAGE)


def test_what_somebody_else_set_is_not_written_over(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    chart.edit(NAME, lambda found: found["spec"].update(minReadySeconds=99))
    with pytest.raises(RolloutError, match='"kubectl": .minReadySeconds'):
        apply(target, plan(b, 2))
    assert Plans().current("census") == plan(a, 1)
    assert chart.deployments[NAME]["spec"]["minReadySeconds"] == 99


def test_a_model_that_the_values_name_stays_helms(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    upgrade(chart, models={"census": {}})
    apply(target, plan(a, 1))
    assert chart.annotation(NAME, ANNOTATION) == pin_of(plan(a, 1))
    assert not any(MANAGER in found.of for found in chart.objects.owners.values())
    ModelObjects(chart.cluster()).remove(NAME)
    assert chart.objects.names(NAME) == FOUR
    upgrade(chart, models={"census": {}}, modelServer={"progressDeadlineSeconds": 77})


@pytest.mark.parametrize(
    "verb, kind",
    [("create", "Deployment"), ("patch", "Service"), ("get", "ConfigMap")],
)
def test_a_right_that_is_lacking_is_named_with_the_value_that_gives_it(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, verb: str, kind: str
) -> None:
    chart.objects.forbid(verb, kind)
    with pytest.raises(RolloutError) as caught:
        apply(target, plan(a, 1))
    resource, name = f"{kind.lower()}s", TEMPLATE if kind == "ConfigMap" else NAME
    assert f"{kind} ml/{name}: 403" in str(caught.value)
    right = (
        f'cannot {verb} resource "{resource}" in API group "[a-z]*" in the namespace'
    )
    assert re.search(f'"{name}" is forbidden: .*{right} "ml"', str(caught.value))
    assert "set modelTemplate.enabled" in str(caught.value)
    chart.objects.forbidden.clear()
    apply(target, plan(a, 1))
    assert serving(chart) == {pin_of(plan(a, 1))}


def test_without_a_template_the_missing_deployment_is_named(
    chart: KubernetesApi,
    target: KubernetesTarget,
    a: Arm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ML_ASSETS_MODEL_TEMPLATE")
    with pytest.raises(RolloutError, match=f"Deployment ml/{NAME} is missing, and ML"):
        apply(target, plan(a, 1))
    monkeypatch.setenv("ML_ASSETS_MODEL_TEMPLATE", "absent")
    with pytest.raises(RolloutError, match="ConfigMap ml/absent, which .* is missing"):
        apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == set() and tried(target) == []


class Killed(BaseException):
    """The deployer is gone, whatever it was about to do."""


@pytest.mark.parametrize("kind", sorted(FOUR))
def test_a_deployer_killed_between_objects_is_followed_by_one_that_finishes(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, kind: str
) -> None:
    objects = target._objects._objects
    real = objects.apply

    def dies(item: Object, manager: str) -> Object:
        if item["kind"] == kind:
            raise Killed
        return real(item, manager)

    objects.apply = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        apply(target, plan(a, 1))
    assert kind not in chart.objects.names(NAME)
    assert Plans().current("census") is None
    apply(KubernetesTarget(chart.cluster()), plan(a, 1))
    assert chart.objects.names(NAME) == FOUR
    assert serving(chart) == {pin_of(plan(a, 1))}


def test_an_uninstalled_chart_takes_the_models_with_it(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    chart.objects.delete("ConfigMap", TEMPLATE)
    assert chart.objects.names(NAME) == set()


def test_a_model_has_a_route_of_its_own_behind_a_gateway(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    upgrade(chart, gateway={"enabled": True, "parentRefs": [{"name": "public"}]})
    apply(target, plan(a, 1))
    spec = chart.objects.of["HTTPRoute", NAME]["spec"]
    assert spec["parentRefs"] == [{"name": "public"}]
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [{"name": NAME, "port": 8080}]
    values = [match["path"]["value"] for match in rule["matches"]]
    assert values == ["/models/census", "/v2/models/census"]
    ModelObjects(chart.cluster()).remove(NAME)
    assert chart.objects.names(NAME) == set()


def test_a_model_has_an_ingress_where_there_is_one(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, root: Path
) -> None:
    upgrade(chart, ingress=EVERYTHING["ingress"])
    apply(target, plan(a, 1))
    (rule,) = chart.objects.of["Ingress", NAME]["spec"]["rules"]
    assert [item["path"] for item in rule["http"]["paths"]] == [
        "/models/census",
        "/v2/models/census",
    ]
    ModelObjects(chart.cluster()).remove(NAME)
    assert chart.objects.names(NAME) == set()


def test_a_retired_model_loses_its_objects_and_is_deployed_again_at_will(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    with pytest.raises(RetirementError, match="census was never deployed"):
        retire(target, "census", "user ada", "no use")
    apply(target, plan(a, 1))
    entry, outcome = retire(target, "census", "user ada", "no use")
    assert entry.kind == "retirement" and "deleted Service" in outcome
    assert chart.objects.names(NAME) == set()
    assert Plans().is_retired("census") and Plans().active() == {}
    assert {*Ledger().held("census")} == {"a"}
    # Again is the same, and a hold that was lifted is not set again.
    Ledger().append("census", "release_hold", "a", None, who="x", why="y", evidence={})
    assert retire(target, "census", "user ada", "again").entry == entry
    assert Ledger().held("census") == {}
    assert Ledger().verify("census") == []
    apply(target, plan(b, 2))
    assert not Plans().is_retired("census")
    assert chart.objects.names(NAME) == FOUR
    assert serving(chart) == {pin_of(plan(b, 2))}


@pytest.mark.parametrize("dies_at", ["publish", "Service", "Deployment"])
def test_a_retirement_that_is_killed_is_finished_by_the_next(
    chart: KubernetesApi,
    target: KubernetesTarget,
    a: Arm,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: str,
) -> None:
    apply(target, plan(a, 1))
    with monkeypatch.context() as patch:
        objects = target._objects._objects
        real = objects.delete

        def dies(kind: str, name: str) -> None:
            if kind == dies_at:
                raise Killed
            real(kind, name)

        def is_gone(model: str) -> None:
            raise Killed

        patch.setattr(objects, "delete", dies)
        if dies_at == "publish":
            patch.setattr("ml_assets.state.plans.publish", is_gone)
        with pytest.raises(Killed):
            retire(target, "census", "user ada", "no use")
    assert Plans().is_retired("census")
    assert (dies_at == "publish") == ("census" in Plans().unpublished())
    # What the health sensor does.
    publish("census")
    retire(target, "census", "user ada", "no use")
    assert chart.objects.names(NAME) == set()
    found = target.published.current("census")
    assert found is not None and found.arms == () and found.generation == 1
    assert [entry.kind for entry in Ledger().entries("census")] == [
        "retirement",
        "hold",
    ]


def test_of_a_model_that_helm_made_a_retirement_says_what_is_left_to_do(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    upgrade(chart, models={"census": {}})
    apply(target, plan(a, 1))
    outcome = retire(target, "census", "user ada", "no use").outcome
    assert "is Helm's, and serves on: take the model out of `models`" in outcome
    assert chart.objects.names(NAME) == FOUR


def test_a_failed_rollout_after_a_retirement_brings_the_retired_plan_not_back(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    retire(target, "census", "user ada", "no use")
    good = chart.judge
    chart.judge = lambda pod: (
        "no" if pod.annotations.get(ANNOTATION) == pin_of(plan(b, 2)) else good(pod)
    )
    short = KubernetesTarget(chart.cluster(), timeout=3.0)
    with pytest.raises(RolloutError):
        apply(short, plan(b, 2))
    assert Plans().is_retired("census")
    assert chart.annotation(NAME, ANNOTATION) is None


def test_a_changed_template_is_applied_by_a_rollout_again_once_nobody_deploys(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    upgrade(chart, modelServer={"progressDeadlineSeconds": 77})
    done: list[Rollout] = []
    other = KubernetesTarget(chart.cluster())
    thread = threading.Thread(
        target=lambda: done.append(roll_out_again(other, "census"))
    )
    with target.lock("census"):
        thread.start()
        thread.join(0.5)
        # Whoever deploys is left alone.
        assert done == []
        assert chart.deployments[NAME]["spec"]["progressDeadlineSeconds"] == 300
    thread.join()
    assert done[0].plan == plan(a, 1)
    assert chart.deployments[NAME]["spec"]["progressDeadlineSeconds"] == 77
    requests = len(chart.patches)
    roll_out_again(other, "census")
    assert len(chart.patches) == requests and len(Plans().history("census")) == 1


def test_a_retired_model_is_not_rolled_out_again(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    retire(target, "census", "user ada", "no use")
    with pytest.raises(RolloutError, match="census is not in service"):
        roll_out_again(target, "census")
    assert chart.objects.names(NAME) == set()
