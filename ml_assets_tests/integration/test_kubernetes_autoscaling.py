"""Models that KEDA scales: never beside an autoscaler, and to zero where they may."""

import pytest

from ml_assets.delivery.rollout import Fleet
from ml_assets.records.plan import Arm, pin_of
from ml_assets.spec.operation import ServingSpec
from ml_assets.targets import RolloutError
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets.targets.model_objects import ModelObjects
from ml_assets_tests.kits.chart import Object
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
    url,
)
from ml_assets_tests.kits.plans import apply
from ml_assets_tests.kits.serving import plan

__all__ = [
    "a", "api", "b", "chart", "root", "storage", "target", "url", "yaml_of_model",
]  # fmt: skip

HPA, SCALED = "HorizontalPodAutoscaler", "ScaledObject"
OTHERS = {"Service", "PodDisruptionBudget", "Deployment"}
KEDA = {"enabled": True, "prometheusUrl": "http://prometheus:9090"}
WAKE = {
    "wakeQuery": 'sum(rate(requests{path="/models/__MODEL__",service="--MODEL--"}[1m]))'
}


def with_keda(**keda: object) -> Object:
    return {"modelServer": {"autoscaling": {"keda": {**KEDA, **keda}}}}


def scaled(api: KubernetesApi) -> Object:
    found: Object = api.objects.of[SCALED, NAME]["spec"]
    return found


def asks(yaml_of_model: Serving, **given: object) -> None:
    yaml_of_model.of = ServingSpec.model_validate(given)


def test_keda_scales_by_the_queue_of_the_model_and_by_processor(
    chart: KubernetesApi, target: KubernetesTarget, yaml_of_model: Serving, a: Arm
) -> None:
    upgrade(chart, **with_keda(**WAKE))
    asks(yaml_of_model, replicas={"min": 2, "max": 9})
    apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == {*OTHERS, SCALED}
    spec = scaled(chart)
    assert spec["scaleTargetRef"]["name"] == NAME
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 9)
    assert "idleReplicaCount" not in spec
    cpu, queue = spec["triggers"]
    assert (cpu["type"], queue["type"]) == ("cpu", "prometheus")
    assert queue["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": 'sum(ml_assets_model_queue_requests{model="census", namespace="ml"})',
        "threshold": "4",
    }


def test_a_deployment_has_an_autoscaler_or_a_scaled_object_and_never_both(
    chart: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    seen: list[set[str]] = []
    chart.objects.before = lambda verb, kind, name: seen.append(
        chart.objects.names(NAME) & {HPA, SCALED}
    )
    for values, expected in (
        ({}, {HPA}),
        (with_keda(), {SCALED}),
        ({}, {HPA}),
    ):
        upgrade(chart, **values)
        apply(target, plan(a, 1))
        assert chart.objects.names(NAME) == OTHERS | expected
    assert all(len(kinds) < 2 for kinds in seen)


def test_a_fixed_number_of_servers_is_not_scaled(
    chart: KubernetesApi, target: KubernetesTarget, yaml_of_model: Serving, a: Arm
) -> None:
    upgrade(chart, **with_keda())
    apply(target, plan(a, 1))
    asks(yaml_of_model, replicas={"min": 2})
    apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == OTHERS
    assert chart.deployments[NAME]["spec"]["replicas"] == 2


def test_a_model_that_says_so_has_no_server_while_nobody_asks(
    chart: KubernetesApi,
    target: KubernetesTarget,
    yaml_of_model: Serving,
    a: Arm,
    b: Arm,
) -> None:
    upgrade(chart, **with_keda(**WAKE))
    asks(yaml_of_model, scale_to_zero=True, replicas={"min": 1})
    apply(target, plan(a, 1))
    spec = scaled(chart)
    assert spec["idleReplicaCount"] == 0
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 1)
    wake = spec["triggers"][-1]["metadata"]
    assert wake["query"] == (
        'sum(rate(requests{path="/models/census",service="census"}[1m]))'
    )
    # KEDA stops the last one; a deployment then waits for none, and starts none.
    chart.edit(NAME, lambda found: found["spec"].update(replicas=0), "keda-operator")
    rollout = apply(target, plan(b, 2))
    assert rollout.servers == 0
    assert chart.deployments[NAME]["spec"]["replicas"] == 0
    # A release of the platform sends no smoke request where nobody answers.
    fleet = Fleet(chart.cluster(), "code", {"census": NAME}, 5.0, lambda: None)
    assert fleet.serving() == {}
    assert chart.annotation(NAME, ANNOTATION) == pin_of(plan(b, 2))
    # The server that the first request starts has the plan of today.
    chart.edit(NAME, lambda found: found["spec"].update(replicas=1), "keda-operator")
    apply(target, plan(b, 2))
    assert serving(chart) == {pin_of(plan(b, 2))}
    assert fleet.serving() == {"census": NAME}


@pytest.mark.parametrize("values", [{}, with_keda()], ids=["no KEDA", "no wakeQuery"])
def test_a_model_that_nothing_would_start_again_is_refused(
    chart: KubernetesApi,
    target: KubernetesTarget,
    yaml_of_model: Serving,
    a: Arm,
    values: Object,
) -> None:
    upgrade(chart, **values)
    asks(yaml_of_model, scale_to_zero=True)
    with pytest.raises(RolloutError, match="scale_to_zero is set, and .* wakeQuery"):
        apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == set()


def test_a_template_of_before_asks_for_no_right_over_scaled_objects(
    chart: KubernetesApi, target: KubernetesTarget, yaml_of_model: Serving, a: Arm
) -> None:
    del chart.objects.of["ConfigMap", TEMPLATE]["data"]["scaler"]
    for verb in ("get", "delete", "patch"):
        chart.objects.forbid(verb, SCALED)
    apply(target, plan(a, 1))
    asks(yaml_of_model, replicas={"min": 2})
    apply(target, plan(a, 1))
    assert chart.objects.names(NAME) == OTHERS
    ModelObjects(chart.cluster()).remove(NAME)
    assert chart.objects.names(NAME) == set()
