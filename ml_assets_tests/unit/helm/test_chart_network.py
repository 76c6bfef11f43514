"""Who may talk to whom, by the network policies of the chart."""

from ml_assets_tests.kits.chart import (
    EVERYTHING,
    Object,
    everything,
    label,
    pick,
    pods,
    render,
)


def test_everything_is_denied_unless_a_policy_allows_it() -> None:
    deny = pick(render(), "NetworkPolicy", "ml-assets-deny")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny and "egress" not in deny
    wanted = deny["podSelector"]["matchLabels"].items()
    assert all(wanted <= pod.metadata["labels"].items() for pod in pods(everything()))


def test_only_prometheus_reads_metrics() -> None:
    monitoring = [
        {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
            }
        }
    ]
    for policy in (item for item in everything() if item["kind"] == "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if any(port["port"] == 8000 for port in rule.get("ports", [])):
                assert rule["from"] == monitoring, label(policy)


def test_predictions_are_open_to_the_ingress_only_where_there_is_one() -> None:
    def peers(overrides: Object) -> int:
        policy = pick(render(overrides), "NetworkPolicy", "ml-assets-model-servers")
        return len(policy["spec"]["ingress"][0]["from"])

    assert peers({}) == 1
    assert peers({"ingress": EVERYTHING["ingress"]}) == 2


def test_names_are_looked_up_in_the_cluster_and_at_nodelocal_dns() -> None:
    policy = pick(render(), "NetworkPolicy", "ml-assets-dns")["spec"]
    (rule,) = policy["egress"]
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in rule["to"]
    assert {(it["port"], it["protocol"]) for it in rule["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }


def test_clients_and_egress_of_the_values_are_let_through() -> None:
    team = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
    proxy = {
        "ports": [{"port": 3128, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}],
    }
    values = {"networkPolicy": {"clientsFrom": [team], "extraEgress": [proxy]}}
    objects = render(values)
    policy = pick(objects, "NetworkPolicy", "ml-assets-model-servers")["spec"]
    assert team in policy["ingress"][0]["from"]
    extra = pick(objects, "NetworkPolicy", "ml-assets-extra-egress")["spec"]
    assert extra["egress"] == [proxy] and extra["policyTypes"] == ["Egress"]
    wanted = extra["podSelector"]["matchLabels"].items()
    assert all(wanted <= pod.metadata["labels"].items() for pod in pods(objects))
