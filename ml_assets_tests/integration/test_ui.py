"""The Dagster UI in a real browser: the graph, a run from a click, plots, the sensor.

Pictures are written to ``reports/ui``, for people.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets_tests.kits.tasks import PLOTS

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "reports" / "ui"
CHROMIUM = shutil.which("chromium")
DAGSTER = str(Path(sys.executable).with_name("dagster"))
MINUTE = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def webserver(home: Path) -> Iterator[str]:
    """`dagster dev` on an empty instance; its address."""
    with dagster_dev(home) as address:
        yield address


@contextlib.contextmanager
def dagster_dev(home: Path, *location: str) -> Iterator[str]:
    """`dagster dev` of this repository, or of a `location`; its address."""
    port = free_port()
    log = (home / "dev.log").open("wb")
    process = subprocess.Popen(
        [DAGSTER, "dev", *location, *("-h", "127.0.0.1", "-p", str(port))],
        cwd=ROOT,
        env=environment(home),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        await_port(port, process, home / "dev.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def environment(home: Path) -> dict[str, str]:
    """That of Dagster's processes, whose instance is made if there is none."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", dagster_home)
    return {**os.environ, "DAGSTER_HOME": str(dagster_home)}


def await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(log.read_text())


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        tab = browser.new_page(viewport={"width": 1600, "height": 1000})
        tab.set_default_timeout(2 * MINUTE)
        yield tab
        browser.close()


def picture(page: Any, name: str) -> None:
    page.screenshot(path=PICTURES / f"{name}.png")


def assert_plots(page: Any, name: str, plots: Iterable[str]) -> None:
    """The page names the file of each plot, in which the browser sees a picture."""
    files = []
    for plot in plots:
        row = page.get_by_role("row").filter(has_text=f"plot_{plot}")
        # The path of the file, to be copied: the picture itself is in the storage.
        files.append(row.get_by_text(f"plots/{plot}.png").first.inner_text().strip())
    picture(page, name)
    before = page.url
    for plot, file in zip(plots, files, strict=True):
        page.goto(f"file://{file}")
        width = page.evaluate("document.images[0].naturalWidth")
        assert width > 400, file
        picture(page, f"{name}_{plot}")
    page.goto(before)


def test_a_fresh_model_is_materialized_by_a_click_and_its_sensor_deploys_it(
    webserver: str, page: Any, home: Path
) -> None:
    page.goto(f"{webserver}/asset-groups")
    for model in ("breast_cancer", "census_income", "telco_churn"):
        page.get_by_text(model, exact=True).first.wait_for()
    picture(page, "models")

    page.goto(f"{webserver}/locations/ml_assets/asset-groups/breast_cancer/lineage")
    for stage in ("raw", "features", "model", "evaluation", "deployment", "monitoring"):
        page.get_by_text(stage, exact=True).first.wait_for()
    picture(page, "graph")

    # Of the whole group, in which most assets have nothing to do yet.
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_text("Launched run").first.wait_for()
    page.goto(f"{webserver}/runs")
    page.get_by_text("Success", exact=True).first.wait_for(timeout=4 * MINUTE)
    assert page.get_by_text("Failure", exact=True).count() == 0
    picture(page, "run")
    # Of the job, which has nothing new to train on.
    page.goto(f"{webserver}/locations/ml_assets/jobs/breast_cancer_train")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_text("Launched run").first.wait_for()

    page.goto(f"{webserver}/assets/breast_cancer/evaluation?view=overview")
    assert_plots(page, "evaluation", ("roc", "calibration", "importance"))
    page.goto(f"{webserver}/assets/breast_cancer/evaluation?view=checks")
    page.get_by_text("gate").first.wait_for()
    picture(page, "gate")
    page.goto(f"{webserver}/assets/breast_cancer/raw?view=checks")
    page.locator("text=target_not_null >> visible=true").first.wait_for()
    picture(page, "checks")

    page.goto(f"{webserver}/runs")
    page.get_by_text("breast_cancer_deploy").first.wait_for(timeout=4 * MINUTE)
    page.get_by_text("gate", exact=True).first.wait_for()
    deadline = time.monotonic() + 240
    plan = home / "plans/breast_cancer/active.json"
    while not plan.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert plan.exists()
    page.goto(f"{webserver}/locations/ml_assets/asset-groups/breast_cancer/lineage")
    page.get_by_text("monitoring", exact=True).first.wait_for()
    page.wait_for_load_state("networkidle")
    picture(page, "deployed")


LOCATION = """
from pathlib import Path

import dagster as dg

from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.tasks import DIABETES, WINE, spec_in


@dg.definitions
def defs():
    home = Path(__file__).parent
    return definitions_of(*(spec_in(home, text) for text in (WINE, DIABETES)))
"""


def test_the_plots_of_each_task_are_in_the_ui(home: Path, page: Any) -> None:
    location = home / "location.py"
    location.write_text(LOCATION)
    for model in PLOTS:
        subprocess.run(
            [DAGSTER, "job", "execute", "-f", str(location), "-j", f"{model}_train"],
            env=environment(home),
            check=True,
            capture_output=True,
        )
    with dagster_dev(home, "-f", str(location)) as address:
        for model, plots in PLOTS.items():
            page.goto(f"{address}/assets/{model}/evaluation?view=overview")
            assert_plots(page, f"evaluation_{model}", sorted(plots))
