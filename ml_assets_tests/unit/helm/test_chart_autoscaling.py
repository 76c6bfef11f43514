"""What scales the servers of a model: an autoscaler, or KEDA in its place."""

from pathlib import Path

import pytest
import yaml

from ml_assets_tests.kits.chart import ROOT, pick, render
from ml_assets_tests.kits.prometheus import needs_prometheus, promtool

OBSERVABILITY = ROOT / "docs" / "observability.md"
SETTINGS = {
    "enabled": True,
    "prometheusUrl": "http://prometheus:9090",
    "wakeQuery": 'sum(rate(requests{path="/models/__MODEL__"}[1m]))',
}
KEDA = {"modelServer": {"autoscaling": {"keda": SETTINGS}}}


def test_where_keda_is_a_model_has_a_scaled_object_in_place_of_its_autoscaler() -> None:
    found = render(KEDA)
    kinds = {item["kind"] for item in found}
    assert "HorizontalPodAutoscaler" not in kinds
    spec = pick(found, "ScaledObject", "ml-assets-census-income")["spec"]
    assert spec["scaleTargetRef"]["name"] == "ml-assets-census-income"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 6)
    # A model of the values has always servers, and so nothing that wakes it.
    assert [trigger.get("name") for trigger in spec["triggers"]] == [None, "queue"]


def test_a_url_of_prometheus_that_is_missing_is_asked_for() -> None:
    keda = {"autoscaling": {"keda": {"enabled": True}}}
    with pytest.raises(Exception, match="keda.prometheusUrl is empty"):
        render({"modelServer": keda})


def test_the_shared_pool_is_scaled_by_what_waits_for_any_of_its_models() -> None:
    template = pick(render(KEDA), "ConfigMap", "ml-assets-model-template")["data"]
    item = yaml.safe_load(template["pool.scaledobject"])
    _, queue = item["spec"]["triggers"]
    assert queue["metadata"]["query"] == (
        "sum(ml_assets_model_queue_requests"
        '{ml_assets_dev_model="shared-pool", namespace="ml"})'
    )
    # By which the ServiceMonitor labels what it scrapes.
    service = yaml.safe_load(template["pool.service"])
    assert service["metadata"]["labels"]["ml-assets.dev/model"] == "shared-pool"
    monitors = render({"serviceMonitor": {"enabled": True}})
    (spec,) = [it["spec"] for it in monitors if it["kind"] == "ServiceMonitor"]
    assert spec["targetLabels"] == ["ml-assets.dev/model"]


@needs_prometheus
def test_keda_asks_prometheus_what_it_understands_of_metrics_that_there_are(
    tmp_path: Path,
) -> None:
    template = pick(render(KEDA), "ConfigMap", "ml-assets-model-template")["data"]
    triggers = yaml.safe_load(template["scaledobject"])["spec"]["triggers"]
    queries = [item["metadata"]["query"] for item in triggers if "name" in item]
    assert len(queries) == 2
    # The one that is ours.
    assert "ml_assets_model_queue_requests" in queries[0]
    assert "`ml_assets_model_queue_requests`" in OBSERVABILITY.read_text()
    rules = [{"record": f"q{n}", "expr": query} for n, query in enumerate(queries)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "keda", "rules": rules}]}))
    assert promtool("check", "rules", str(path)) == ""
