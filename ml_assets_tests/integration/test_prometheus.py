"""A real Prometheus over real processes: series, queries and alerts on real events."""

import json
import math
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from ml_assets.cli.demo.churn import MODEL
from ml_assets_tests.kits.observed_site import needs_all, observed
from ml_assets_tests.kits.observed_weeks import breakdown, work
from ml_assets_tests.kits.prometheus import (
    DASHBOARDS,
    ROOT,
    RULES,
    Prometheus,
    Sample,
    alerts,
    hastened,
    promtool,
    substituted,
)

CATALOGUE = (ROOT / "docs" / "observability.md").read_text()
pytestmark = [pytest.mark.slow, *needs_all]


class Observation(NamedTuple):
    """What Prometheus recorded of a site.

    `whole` is the time before its processes were ended; `scrapes` are those of its
    exporter and its servers, one of them of several workers, at that time. `fired` are
    the alerts that were awaited.
    """

    prometheus: Prometheus
    began: float
    whole: float
    fired: dict[str, list[dict[str, str]]]
    scrapes: dict[str, str]

    def value(self, expression: str) -> float:
        """The one value of an expression while everything ran."""
        (found,) = self.prometheus.at(expression, self.whole)
        return float(found["value"][1])

    def values(self, expression: str, instant: bool = False) -> list[float]:
        """What a panel shows, of that time or of all until then."""
        found: list[Sample]
        if instant:
            found = self.prometheus.at(expression, self.whole)
            return [float(item["value"][1]) for item in found]
        found = self.prometheus.over(expression, self.began, self.whole, 1)
        return [float(value) for item in found for _, value in item["values"]]


@pytest.fixture(scope="module")
def observation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observation]:
    with observed(tmp_path_factory.mktemp("observed")) as site:
        work(site)
        whole = site.now()
        scrapes = {
            "exporter": scrape(site.exporter_port),
            "server": scrape(site.ports.metrics),
            "workers": scrape(site.start_workers()),
        }
        breakdown(site)
        yield Observation(site.prometheus, site.began, whole, site.fired, scrapes)


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as got:
        return str(got.read().decode())


def test_hastened_rules_wait_less_and_are_the_same_otherwise() -> None:
    shorter = hastened(RULES.read_text())
    pairs = zip(RULES.read_text().splitlines(), shorter.splitlines(), strict=True)
    changed = [(before, after) for before, after in pairs if before != after]
    number = re.compile(r"\d+[smh]?")
    for before, after in changed:
        assert number.sub("", before) == number.sub("", after)
    # No wait of minutes or hours is left.
    assert not re.search(r"(for: |\[|offset )\d+h", shorter)
    assert shorter.count("for: 1m") == 1, "an hour, of a model that grows stale"


# Its trouble is ten thousand series, which promtool's cases and the exporter's own test
# have.
REAL = [name for name in alerts() if name != "MlAssetsSeriesFolded"]


@pytest.mark.parametrize("name", REAL)
def test_every_alert_fires_where_its_trouble_is_real(
    observation: Observation, name: str
) -> None:
    rule = alerts()[name]
    assert observation.fired[name]
    for labels in observation.fired[name]:
        assert rule["labels"].items() <= labels.items()


def queries() -> list[Any]:
    """Every query of every panel."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                name = f"{path.stem}: {panel['title']}, {target['refId']}"
                instant = target.get("instant", False)
                found.append(pytest.param(instant, target["expr"], id=name))
    return found


@pytest.mark.parametrize("model", [".*", MODEL], ids=["all models", "one model"])
@pytest.mark.parametrize("instant, expression", queries())
def test_every_query_of_a_dashboard_has_data(
    observation: Observation, instant: bool, expression: str, model: str
) -> None:
    found = observation.values(substituted(expression, model), instant)
    assert any(math.isfinite(value) for value in found)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_models_can_be_chosen_and_deployments_are_marked(
    observation: Observation, path: Any
) -> None:
    board = json.loads(path.read_text())
    variable = board["templating"]["list"][1]["query"]["query"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable).groups()
    given = {"match[]": metric, "start": observation.began, "end": observation.whole}
    assert MODEL in observation.prometheus.get(f"/api/v1/label/{label}/values", **given)
    (mark,) = board["annotations"]["list"]
    marked = observation.values(substituted(mark["expr"]))
    assert marked, "no deployment is marked"


@pytest.mark.parametrize(
    "expression, value",
    [
        ('runs_total{job="churn_train", status="failure"}', 1),
        # Forty days ago, the better, the slow, and the one whose files are altered.
        ('runs_total{job="churn_train", status="success"}', 4),
        ('runs_total{job="churn_deploy", status="failure"}', 1),
        ('run_queue_seconds_count{job="churn_monitor"}', 2),
        # The values of the target, and the schema.
        ('check_results_total{passed="false", asset="churn/raw", severity="error"}', 2),
        ('instigator_running{name="churn_schedule"}', 1),
        ('asset_rows{asset="churn/raw"}', 5_000),
    ],
)
def test_the_series_of_the_instance_are_what_happened(
    observation: Observation, expression: str, value: float
) -> None:
    assert observation.value(f"sum(ml_assets_dagster_{expression})") == value


@pytest.mark.parametrize(
    "expression, value",
    [
        ('deployments_total{model="churn", kind="deployment"}', 1),
        ('deployments_total{model="churn", kind="promotion"}', 1),
        ('rollbacks_total{model="churn", trigger="automatic"}', 1),
        ('rollbacks_total{model="churn", trigger="manual"}', 1),
        ('gate_verdicts_total{model="churn", verdict="passed"}', 4),
        ('model_info{model="churn", role="live"}', 1),
        ('live_degraded{model="churn"}', 1),
        ('releases_total{environment="staging", outcome="success"}', 1),
        ('releases_total{environment="production", outcome="failure"}', 1),
        ("release_approvals_total", 1),
        ('ledger_intact{model="churn"}', 1),
        ('prediction_log_lost_total{model="churn"}', 40),
        ("ready", 1),
    ],
)
def test_the_series_of_models_are_what_happened(
    observation: Observation, expression: str, value: float
) -> None:
    assert observation.value(f"sum(ml_assets_{expression})") == value


def test_each_answer_is_counted_under_its_status_and_arm(
    observation: Observation,
) -> None:
    requests = 'ml_assets_requests_total{model="churn", route="predict"'
    assert observation.value(f'sum({requests}, status="503"}})') > 0
    for arm in ("live", "split"):
        assert observation.value(f'sum({requests}, status="200", arm="{arm}"}})') > 0
    shadow = 'ml_assets_requests_total{route="shadow", arm="shadow", status="200"}'
    assert observation.value(f"sum({shadow})") > 0


def test_the_catalogue_has_every_metric_of_a_server_and_no_other(
    observation: Observation,
) -> None:
    text = observation.scrapes["server"] + observation.scrapes["workers"]
    names = set(re.findall(r"^# TYPE (ml_assets_\w+)", text, re.MULTILINE))
    section = CATALOGUE.partition("## The model server")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `(ml_assets_\w+)`", section, re.MULTILINE))
    # One is there where a file names API keys, which this server was not given.
    assert names == listed - {"ml_assets_caller_requests_total"}


def test_the_pictures_of_the_documentation_are_drawn_from_it(
    observation: Observation, tmp_path: Path
) -> None:
    span = (f"--began={observation.began}", f"--ended={observation.whole}")
    source = ("--prometheus", observation.prometheus.url, *span)
    command = [sys.executable, "-m", "docs.pictures", *source, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.stem: path for path in tmp_path.iterdir()}
    assert made.keys() == {f"dashboard-{path.stem}" for path in DASHBOARDS}
    for path in made.values():
        assert path.stat().st_size < 150_000
        picture = Image.open(path)
        assert picture.width == 1_500 and picture.height > 1_000
        # Colours of lines and areas on top of those of the empty frames.
        assert len(picture.convert("RGB").getcolors(10**6)) > 100


@pytest.mark.parametrize("process", ["exporter", "server", "workers"])
def test_the_linter_of_prometheus_finds_nothing_in_a_scrape(
    observation: Observation, process: str
) -> None:
    assert "ml_assets_" in observation.scrapes[process]
    assert promtool("check", "metrics", stdin=observation.scrapes[process]) == ""
