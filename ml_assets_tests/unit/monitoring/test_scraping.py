"""What becomes of the labels of our metrics in a Prometheus that Compose started."""

from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.prometheus import (
    COMPOSE_CONFIG,
    needs_prometheus,
    prometheus,
    promtool,
)

JOBS = ("ml-assets-model-server", "ml-assets-exporter")


@needs_prometheus
def test_prometheus_can_read_what_compose_gives_it() -> None:
    assert promtool("check", "config", "--syntax-only", str(COMPOSE_CONFIG)) == ""


def test_each_service_of_ours_is_scraped() -> None:
    config = yaml.safe_load(COMPOSE_CONFIG.read_text())
    assert {*JOBS} <= {job["job_name"] for job in config["scrape_configs"]}


@pytest.mark.slow
@needs_prometheus
def test_a_label_called_job_stays_that_of_dagster(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("ml_assets_dagster_runs", "Runs.", ["job"], registry=registry)
    gauge.labels("churn_train").set(1)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        targets = {job: [server.server_port] for job in JOBS}
        with prometheus(tmp_path, targets) as running:
            query = "ml_assets_dagster_runs"
            (sample,) = await_true(lambda: running.query(query), "it was scraped", 30)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert sample["metric"]["job"] == "churn_train"
    assert "exported_job" not in sample["metric"]
