"""Dashboards: what Grafana loads, and what a reader sees at a glance."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ml_assets_tests.kits.prometheus import (
    DASHBOARDS,
    ROOT,
    needs_prometheus,
    promtool,
    substituted,
)

# The last of Grafana's version 1 dashboards: "DashboardMigrator.ts".
SCHEMA_VERSION = 42
COLUMNS = 24
UNITS = {
    "none", "short", "s", "bytes", "percentunit", "reqps", "rowsps",
}  # fmt: skip
# Labels that say how something went, and a colour for each of their values.
OUTCOMES = {
    "canceled": "#8e8e8e", "canceling": "#8e8e8e", "skipped": "#8e8e8e",
    "unknown": "#8e8e8e",
    "success": "green", "passed": "green", "delivered": "green", "200": "green",
    "promotion": "green", "warn, passed: true": "green",
    "error, passed: true": "light-green",
    "starting": "light-blue", "started": "blue", "manual": "blue",
    "deployment": "blue", "experiment": "purple",
    "undelivered": "yellow",
    "queued": "orange", "refused": "orange", "422": "orange",
    "warn, passed: false": "orange",
    "failure": "red", "failed": "red", "automatic": "red", "503": "red",
    "error, passed: false": "red",
}  # fmt: skip
VALUES = {
    "ml_assets_requests_total": ("200", "422", "503"),
    "ml_assets_dagster_runs_total": ("success", "failure", "canceled"),
    "ml_assets_dagster_runs": ("queued", "starting", "started", "canceling"),
    "ml_assets_dagster_ticks_total": ("success", "skipped", "failure"),
    "ml_assets_dagster_check_results_total": (
        "warn, passed: true", "error, passed: true",
        "warn, passed: false", "error, passed: false",
    ),
    "ml_assets_notifications_total": ("delivered", "undelivered", "refused", "unknown"),
    "ml_assets_gate_verdicts_total": ("passed", "failed"),
    "ml_assets_deployments_total": ("deployment", "promotion", "experiment"),
    "ml_assets_rollbacks_total": ("automatic", "manual"),
    "ml_assets_releases_total": ("success", "failure", "refused"),
}  # fmt: skip
CATALOGUE = (ROOT / "docs" / "observability.md").read_text()


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    """Every panel but the headings of rows."""
    return [panel for panel in load(path)["panels"] if panel["type"] != "row"]


def expressions(path: Path) -> list[str]:
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


def test_grafana_knows_its_schema_and_address(path: Path) -> None:
    found = load(path)
    assert found["schemaVersion"] == SCHEMA_VERSION
    assert found["uid"] == f"ml-assets-{path.stem}"
    # An id would be that of one Grafana.
    assert "id" not in found and found["tags"] == ["ml-assets"]


def test_there_are_three() -> None:
    assert [path.stem for path in DASHBOARDS] == ["delivery", "models", "pipeline"]


def test_ids_are_unique_and_panels_do_not_overlap(path: Path) -> None:
    every = load(path)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    occupied: dict[tuple[int, int], str] = {}
    for panel in every:
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= COLUMNS, panel["title"]
        for cell in itertools.product(
            range(position["x"], position["x"] + position["w"]),
            range(position["y"], position["y"] + position["h"]),
        ):
            assert cell not in occupied, (panel["title"], occupied.get(cell))
            occupied[cell] = panel["title"]


def test_every_panel_has_a_title_a_description_and_a_unit(path: Path) -> None:
    titles = [panel["title"] for panel in panels(path)]
    assert len(set(titles)) == len(titles)
    for panel in panels(path):
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


def test_the_top_row_is_the_state_now(path: Path) -> None:
    heading, *rest = load(path)["panels"]
    assert (heading["type"], heading["title"]) == ("row", "Now")
    top = [panel for panel in rest if panel["gridPos"]["y"] == 1]
    assert {panel["type"] for panel in top} == {"stat"}
    assert sum(panel["gridPos"]["w"] for panel in top) == COLUMNS


def test_the_source_and_the_model_are_chosen_by_variables(path: Path) -> None:
    source, model = load(path)["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    assert (model["name"], model["type"], model["multi"]) == ("model", "query", True)
    for panel in panels(path):
        parts = [panel, *panel["targets"]]
        assert {part["datasource"]["uid"] for part in parts} == {"${datasource}"}
    assert any("$model" in expression for expression in expressions(path))


def test_every_metric_is_in_the_catalogue(path: Path) -> None:
    names = set(re.findall(r"\bml_assets_\w+", " ".join(expressions(path))))
    assert names
    for name in names:
        listed = re.sub(r"_bucket$", "", name)
        assert f"`{listed}`" in CATALOGUE, name


def test_what_went_well_or_badly_has_its_colour(path: Path) -> None:
    known = {"{{status}}", "{{result}}", "{{verdict}}", "{{kind}}", "{{trigger}}"}
    known |= {"{{outcome}}", "{{severity}}, passed: {{passed}}"}
    for panel in panels(path):
        legends = {target.get("legendFormat") for target in panel["targets"]}
        if not legends & known:
            continue
        expression = panel["targets"][0]["expr"]
        (metric,) = {*re.findall(r"\bml_assets_\w+", expression)}
        for name in VALUES[metric]:
            assert colours(panel, name) == [OUTCOMES[name]], (panel["title"], name)


def test_a_name_has_one_colour_in_all_dashboards() -> None:
    found: dict[str, set[str]] = {}
    for board in DASHBOARDS:
        for panel in panels(board):
            for item in panel["fieldConfig"]["overrides"]:
                for value in item["properties"]:
                    if value["id"] == "color":
                        colour = value["value"]["fixedColor"]
                        found.setdefault(item["matcher"]["options"], set()).add(colour)
    assert found and not {name for name, shown in found.items() if len(shown) > 1}


def colours(panel: dict[str, Any], name: str) -> list[str]:
    """The colours that a panel fixes for a series of this name."""
    found = []
    for item in panel["fieldConfig"]["overrides"]:
        kind, wanted = item["matcher"]["id"], item["matcher"]["options"]
        matches = name == wanted
        if kind == "byRegexp":
            matches = re.search(wanted.strip("/"), name) is not None
        if matches:
            found += [
                value["value"]["fixedColor"]
                for value in item["properties"]
                if value["id"] == "color"
            ]
    return found


@needs_prometheus
def test_prometheus_can_read_every_query(path: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:query_{number}", "expr": substituted(expression)}
        for number, expression in enumerate(expressions(path))
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert promtool("check", "rules", str(file)) == ""
