"""The platform on the cluster that KUBECONFIG names, from nothing to uninstalled.

The tests follow one another, and each leaves the platform serving. They make the
namespace ``ml-assets-e2e`` and remove it at the end.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from ml_assets.targets.kubernetes import ANNOTATION
from ml_assets_tests.kits.cluster import PATIENCE, Site, stopped
from ml_assets_tests.kits.cluster_values import reference
from ml_assets_tests.kits.processes import await_true

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no cluster"
    ),
]

NAMESPACE = "ml-assets-e2e"
MODEL = "breast_cancer"
SERVERS = "ml-assets-breast-cancer"
SELECTOR = f"ml-assets.dev/model={MODEL}"
DEPLOY = f"{MODEL}_deploy"
NEWCOMER = "newcomer"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Both charts, installed and ready to train."""
    site = Site(NAMESPACE)
    site.prepare()
    try:
        site.install()
        yield site
    finally:
        if not os.environ.get("ML_ASSETS_E2E_KEEP"):
            site.core.delete_namespace(NAMESPACE)


@pytest.fixture(scope="module")
def clients(site: Site) -> Iterator[str]:
    """A pod that asks without pause from the first version on."""
    site.start("load", reference("server"), "load.py", f"http://{SERVERS}:8080", MODEL)
    site.await_phase("load", "Running")
    yield "load"
    site.stop("load")


def generation(site: Site) -> str | None:
    found = site.apps.read_namespaced_deployment(SERVERS, NAMESPACE)
    annotations = found.spec.template.metadata.annotations or {}
    return annotations.get(ANNOTATION)


def await_generation(site: Site, number: int) -> str:
    """Wait until every server runs a plan of this number."""

    def served() -> str | None:
        pin = generation(site)
        return pin if pin and pin.split("-")[0] == str(number) else None

    pin = str(await_true(served, f"plan {number} is rolled out", PATIENCE))
    site.await_available(SERVERS)
    return pin


def await_requests(site: Site, pod: str, more: int = 200) -> dict[str, Any]:
    """What the clients got, after so many requests more."""
    before = site.load(pod).get("requests", 0)
    return dict(
        await_true(
            lambda: (
                found
                if (found := site.load(pod)).get("requests", 0) > before + more
                else None
            ),
            "the clients are answered",
            PATIENCE,
        )
    )


def test_a_trained_version_is_deployed_by_the_sensor_and_predicts(
    site: Site, clients: str
) -> None:
    site.launch(f"{MODEL}_train")
    await_generation(site, 1)
    found = await_requests(site, clients)
    assert len(found["versions"]) == 1
    assert site.helm.test("ml-assets", timeout=300)


def test_a_second_version_comes_under_load_and_no_request_is_lost(
    site: Site, clients: str
) -> None:
    before = site.load(clients)
    site.run("another", "another.py", MODEL)
    site.launch(DEPLOY)
    await_generation(site, 2)
    found = await_requests(site, clients)
    assert len(found["versions"]) == 2
    assert found["lost"] == before["lost"]


def test_a_broken_version_is_refused_and_traffic_does_not_notice(
    site: Site, clients: str
) -> None:
    before, pin = site.load(clients), generation(site)
    assert "refused the plan" in site.run("broken", "break_rollout.py", MODEL)
    assert generation(site) == pin
    found = await_requests(site, clients)
    assert found["versions"] == before["versions"]
    assert found["lost"] == before["lost"]


def test_a_rollback_returns_to_the_first_version_and_no_request_is_lost(
    site: Site, clients: str
) -> None:
    before = site.load(clients)
    site.launch(f"{MODEL}_rollback")
    await_generation(site, 3)
    site.start("after", reference("server"), "load.py", f"http://{SERVERS}:8080", MODEL)
    site.await_phase("after", "Running")
    after = await_requests(site, "after", more=50)
    site.stop("after")
    assert after["versions"] == before["versions"][:1]
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_a_serving_pod_that_is_deleted_costs_no_request(
    site: Site, clients: str
) -> None:
    before, pin = site.load(clients), generation(site)
    pod = min(site.pods(SELECTOR))
    site.core.delete_namespaced_pod(pod, NAMESPACE)
    site.await_gone(pod)
    site.await_available(SERVERS)
    assert generation(site) == pin
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_a_drain_waits_for_the_disruption_budget_and_costs_no_request(
    site: Site, clients: str
) -> None:
    before = site.load(clients)
    drained = site.pods(SELECTOR)
    refused = 0
    for pod in sorted(drained):
        while not site.evict(pod):
            refused += 1
            time.sleep(1)
    # Both at once would have left no server.
    assert refused
    for pod in drained:
        site.await_gone(pod)
    site.await_available(SERVERS)
    assert not site.pods(SELECTOR) & drained
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_a_new_model_needs_no_upgrade_and_leaves_nothing_when_it_is_retired(
    site: Site, clients: str
) -> None:
    before = site.load(clients)
    site.run("newcomer", "another.py", MODEL, "--name", NEWCOMER)
    name, selector = f"ml-assets-{NEWCOMER}", f"ml-assets.dev/model={NEWCOMER}"
    site.await_available(name)
    site.start("asks", reference("server"), "load.py", f"http://{name}:8080", NEWCOMER)
    site.await_phase("asks", "Running")
    assert await_requests(site, "asks", more=50)["lost"] == []
    site.stop("asks")
    site.run("retires", "retire.py", NEWCOMER)
    for lister in (
        site.apps.list_namespaced_deployment,
        site.core.list_namespaced_service,
        client.PolicyV1Api(site.api).list_namespaced_pod_disruption_budget,
    ):
        kept = lister(NAMESPACE, label_selector=selector).items
        assert [item.metadata.name for item in kept] == []
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_a_rollout_survives_its_daemon(site: Site, clients: str) -> None:
    site.run("third", "another.py", MODEL, "--more", "2")
    before = site.load(clients)
    run_id = site.submit(DEPLOY)
    for pod in site.pods("component=dagster-daemon"):
        site.core.delete_namespaced_pod(pod, NAMESPACE, grace_period_seconds=0)
    site.await_success(DEPLOY, run_id)
    await_generation(site, 4)
    site.await_available("dagster-daemon")
    assert await_requests(site, clients)["lost"] == before["lost"]


@pytest.mark.skipif(
    not os.environ.get("ML_ASSETS_E2E_NODE"),
    reason="ML_ASSETS_E2E_NODE names no container with the API server",
)
def test_a_rollout_survives_half_a_minute_without_the_api_server(
    site: Site, clients: str
) -> None:
    site.run("fourth", "another.py", MODEL, "--more", "3")
    before = site.load(clients)
    run_id = site.submit(DEPLOY)
    # Its container has what it needs of the API server, and begins to import.
    site.await_phase(site.await_pod(f"job-name=dagster-run-{run_id}"), "Running")
    with stopped("kube-apiserver", os.environ["ML_ASSETS_E2E_NODE"]):
        time.sleep(30)
    site.await_success(DEPLOY, run_id)
    await_generation(site, 5)
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_an_upgrade_of_both_charts_costs_no_request_and_keeps_the_plan(
    site: Site, clients: str
) -> None:
    before, pin = site.load(clients), generation(site)
    drained = site.pods(SELECTOR)
    # Each makes new pods of its part.
    marked = {"ml-assets.dev/upgrade": "1"}
    site.upgrade(
        {"modelServer": {"podAnnotations": marked}},
        {"dagsterDaemon": {"annotations": marked}},
    )
    site.await_available(SERVERS)
    assert not site.pods(SELECTOR) & drained
    assert generation(site) == pin
    assert await_requests(site, clients)["lost"] == before["lost"]


def test_uninstalled_nothing_is_left_but_the_claims(site: Site) -> None:
    site.uninstall()
    selector = "app.kubernetes.io/instance in (ml-assets, dagster)"
    network = client.NetworkingV1Api(site.api)
    rbac = client.RbacAuthorizationV1Api(site.api)
    policy = client.PolicyV1Api(site.api)
    listers = {
        "Deployments": site.apps.list_namespaced_deployment,
        "Services": site.core.list_namespaced_service,
        "ConfigMaps": site.core.list_namespaced_config_map,
        "ServiceAccounts": site.core.list_namespaced_service_account,
        "NetworkPolicies": network.list_namespaced_network_policy,
        "Roles": rbac.list_namespaced_role,
        "RoleBindings": rbac.list_namespaced_role_binding,
        "PodDisruptionBudgets": policy.list_namespaced_pod_disruption_budget,
    }

    def left() -> dict[str, list[str]]:
        found = {
            kind: [
                item.metadata.name
                for item in lister(NAMESPACE, label_selector=selector).items
            ]
            for kind, lister in listers.items()
        }
        return {kind: names for kind, names in found.items() if names}

    deadline = time.monotonic() + PATIENCE
    while left() and time.monotonic() < deadline:
        time.sleep(1)
    assert left() == {}
    claims = site.core.list_namespaced_persistent_volume_claim(NAMESPACE).items
    names = {claim.metadata.name for claim in claims}
    assert names == {"ml-assets-mlflow", "store"}
