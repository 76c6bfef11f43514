"""The chart's route from an alert to Slack, as Alertmanager itself reads it."""

import datetime as dt
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets_tests.kits.alertmanager import (
    alertmanager,
    amtool,
    needs_alertmanager,
    plain,
)
from ml_assets_tests.kits.chart import EVERYTHING, merge, pick, render
from ml_assets_tests.kits.prometheus import alerts
from ml_assets_tests.kits.slack import slack_double

pytestmark = needs_alertmanager


def config(webhook: str, channel: str = "#models") -> dict[str, Any]:
    """The chart's route, in the namespace `ml`."""
    values = {"alertmanager": {"slack": {"channel": channel}}}
    objects = render(merge(EVERYTHING, values))
    return plain(pick(objects, "AlertmanagerConfig", "ml-assets"), "ml", webhook)


def labels() -> dict[str, dict[str, str]]:
    """Name of each alert of the chart to the labels that its rule gives it."""
    spec = pick(render(EVERYTHING), "PrometheusRule", "ml-assets")["spec"]
    return {
        rule["alert"]: {"alertname": rule["alert"], **rule["labels"]}
        for group in spec["groups"]
        for rule in group["rules"]
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(config("http://slack.test/hook")))
    return file


def test_alertmanager_accepts_the_route(path: Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(path))


@pytest.mark.parametrize("name", alerts())
def test_every_alert_is_routed_to_slack(path: Path, name: str) -> None:
    given = [f"{key}={value}" for key, value in labels()[name].items()]
    route = ("config", "routes", "test", f"--config.file={path}")
    assert amtool(*route, *given) == "slack"


@pytest.mark.parametrize("other", ["team=payments", "namespace=elsewhere"])
def test_the_alerts_of_others_do_not(path: Path, other: str) -> None:
    key, _, value = other.partition("=")
    given = labels()["MlAssetsRunFailed"] | {key: value}
    texts = [f"{name}={text}" for name, text in given.items()]
    route = ("config", "routes", "test", f"--config.file={path}")
    assert amtool(*route, *texts) == "nobody"


def test_critical_alerts_are_sent_sooner_and_more_often(path: Path) -> None:
    (route,) = yaml.safe_load(path.read_text())["route"]["routes"]
    (critical,) = route["routes"]
    assert critical["matchers"] == ['severity="critical"']
    assert (route["group_wait"], critical["group_wait"]) == ("30s", "10s")
    assert (route["repeat_interval"], critical["repeat_interval"]) == ("12h", "2h")


def test_slack_shows_what_fires_and_that_it_is_over(tmp_path: Path) -> None:
    name = "MlAssetsLedgerBroken"
    rule = alerts()[name]
    now = dt.datetime.now(dt.UTC)
    alert = {
        "labels": {**labels()[name], "model": "churn"},
        "annotations": {
            **rule["annotations"],
            "summary": "The ledger of churn was edited",
        },
        "startsAt": now.isoformat(),
    }
    with slack_double() as slack:
        given = config(slack.url)
        # Nothing but the waits is other than in the chart.
        (route,) = given["route"]["routes"]
        for item in (route, *route["routes"]):
            item |= {"group_wait": "1s", "group_interval": "1s"}
        with alertmanager(tmp_path, given) as port:
            _post(port, alert)
            assert slack.came.wait(30)
            slack.came.clear()
            over = dt.datetime.now(dt.UTC).isoformat()
            _post(port, alert | {"endsAt": over})
            assert slack.came.wait(30)
    fired, resolved = (message["attachments"][0] for message in slack.received)
    assert fired["title"] == f"FIRING {name} churn"
    assert fired["text"].strip() == "The ledger of churn was edited"
    assert (fired["color"], resolved["color"]) == ("danger", "good")
    assert resolved["title"] == f"RESOLVED {name} churn"
    (button,) = fired["actions"]
    assert button["url"] == rule["annotations"]["runbook_url"]


def _post(port: int, alert: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps([alert]).encode(),
        {"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()
