"""Alert rules: each fires, each clears, and each has a runbook."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.spec.metrics import METRICS, lower_is_better
from ml_assets_tests.kits.prometheus import (
    ROOT,
    RULE_TESTS,
    RULES,
    alerts,
    needs_prometheus,
    promtool,
)

RUNBOOKS = ROOT / "docs" / "runbooks.md"
ALERTS = alerts()
# What operators asked to be woken for.
WANTED = {
    "MlAssetsRunFailed": "warning",
    "MlAssetsTrainingMissed": "warning",
    "MlAssetsQueueStuck": "critical",
    "MlAssetsDeploymentFailed": "critical",
    "MlAssetsRolledBack": "warning",
    "MlAssetsDrift": "warning",
    "MlAssetsLiveAccuracyLow": "critical",
    "MlAssetsLatencyHigh": "warning",
    "MlAssetsErrorsHigh": "critical",
    "MlAssetsModelStale": "warning",
    "MlAssetsPredictionsLost": "critical",
    "MlAssetsLogShippingLate": "warning",
    "MlAssetsSegmentsMissing": "critical",
    "MlAssetsLedgerBroken": "critical",
    "MlAssetsExporterDown": "critical",
    "MlAssetsMainRed": "warning",
}


@needs_prometheus
def test_every_alert_fires_and_clears_as_its_tests_say() -> None:
    assert promtool("test", "rules", str(RULE_TESTS)) == ""


@needs_prometheus
def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path) -> None:
    wrong = RULES.read_text().replace("_ledger_intact == 0", "_ledger_intact == 1")
    (tmp_path / "rules.yaml").write_text(wrong)
    name = "MlAssetsLedgerBroken"
    of_alert = [
        test
        for test in _tests()["tests"]
        if any(case["alertname"] == name for case in test["alert_rule_test"])
    ]
    tests = _tests() | {"rule_files": ["rules.yaml"], "tests": of_alert}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    assert name in promtool("test", "rules", str(tmp_path / "tests.yaml"))


@needs_prometheus
def test_the_linter_of_prometheus_finds_nothing() -> None:
    assert promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES)) == ""


def test_every_alert_that_is_wanted_is_there() -> None:
    severities = {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}
    assert WANTED.items() <= severities.items()


def test_a_live_metric_is_compared_with_its_gate_in_its_own_direction() -> None:
    expression = ALERTS["MlAssetsLiveAccuracyLow"]["expr"]
    above, below = re.findall(r'metric(=~|!~)"([a-z_|]+)"', expression)
    assert (above[0], below[0], above[1]) == ("!~", "=~", below[1])
    assert {*above[1].split("|")} == {name for name in METRICS if lower_is_better(name)}


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_test_in_which_it_fires_and_clears(name: str) -> None:
    found = [case for test in _tests()["tests"] for case in test["alert_rule_test"]]
    of_alert = [
        bool(case.get("exp_alerts")) for case in found if case["alertname"] == name
    ]
    assert any(of_alert), "no test in which it fires"
    # The last case is of after it fired.
    assert not of_alert[-1], "no test in which it clears"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_severity_a_summary_and_a_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in (
        {"severity": severity, "team": "ml-assets"}
        for severity in ("critical", "warning")
    )
    assert rule["annotations"]["summary"][0].isupper() or "{{" in (
        rule["annotations"]["summary"][:2]
    )
    url = rule["annotations"]["runbook_url"]
    assert url.endswith(f"docs/runbooks.md#{name.lower()}")
    section = _sections()[name]
    severity = rule["labels"]["severity"].capitalize()
    assert section.startswith(f"*{severity}.*"), "meaning, with the severity"
    assert "\n1. " in section, "what to do"


def test_every_section_is_that_of_an_alert() -> None:
    assert sorted(_sections()) == sorted(ALERTS)


@cache
def _tests() -> dict[str, Any]:
    """The tests that promtool runs."""
    found: dict[str, Any] = yaml.safe_load(RULE_TESTS.read_text())
    return found


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)\n\n", RUNBOOKS.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
