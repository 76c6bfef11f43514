"""What the chart gives to Prometheus, Alertmanager and Grafana."""

import json

import pytest
import yaml

from ml_assets_tests.kits.chart import (
    EVERYTHING,
    Object,
    everything,
    label,
    merge,
    pick,
    render,
)
from ml_assets_tests.kits.prometheus import DASHBOARDS, RULES, alerts

KINDS = {"PrometheusRule", "AlertmanagerConfig"}


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return everything()


def test_by_default_nothing_needs_the_prometheus_operator() -> None:
    found = [label(item) for item in render()]
    assert not [name for name in found if name.split("/")[0] in KINDS]
    assert not [name for name in found if "dashboard" in name]


def test_the_rules_are_those_of_the_file(objects: list[Object]) -> None:
    spec = pick(objects, "PrometheusRule", "ml-assets")["spec"]
    for group in spec["groups"]:
        for rule in group["rules"]:
            # The operator routes by it, and a sum over models has none of its own.
            assert rule["labels"].pop("namespace") == "ml"
    assert spec == yaml.safe_load(RULES.read_text())


def test_the_runbooks_can_be_elsewhere() -> None:
    elsewhere = {"prometheusRule": {"runbooks": "https://wiki.example.com/ml"}}
    spec = pick(render(merge(EVERYTHING, elsewhere)), "PrometheusRule", "ml-assets")
    rules = [rule for group in spec["spec"]["groups"] for rule in group["rules"]]
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        assert url == f"https://wiki.example.com/ml#{rule['alert'].lower()}"


def test_each_dashboard_is_a_config_map_that_grafana_finds(
    objects: list[Object],
) -> None:
    for path in DASHBOARDS:
        item = pick(objects, "ConfigMap", f"ml-assets-dashboard-{path.stem}")
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["data"].keys() == {path.name}
        assert json.loads(item["data"][path.name]) == json.loads(path.read_text())


def test_alerts_go_to_slack_with_what_the_rules_say(objects: list[Object]) -> None:
    spec = pick(objects, "AlertmanagerConfig", "ml-assets")["spec"]
    matchers = [
        (item["name"], item["matchType"], item["value"])
        for item in spec["route"]["matchers"]
    ]
    assert matchers == [("team", "=", "ml-assets")]
    assert {rule["labels"]["team"] for rule in alerts().values()} == {"ml-assets"}
    (receiver,) = spec["receivers"]
    assert receiver["name"] == spec["route"]["receiver"]
    (slack,) = receiver["slackConfigs"]
    assert slack["apiURL"] == {"name": "ml-assets-credentials", "key": "SLACK_WEBHOOK"}
    assert slack["channel"] == "#models" and slack["sendResolved"] is True
    for field in ("summary", "runbook_url"):
        assert f".Annotations.{field}" in json.dumps(slack)


def test_the_exporter_keeps_the_labels_that_it_gives(objects: list[Object]) -> None:
    # Prometheus would call `job`, which is Dagster's, `exported_job`: no rule matched.
    (endpoint,) = pick(objects, "ServiceMonitor", "ml-assets")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
