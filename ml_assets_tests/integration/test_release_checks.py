"""The checks of a release, against a real webserver, code server and model server."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.delivery import checks
from ml_assets.delivery.checks import CheckContext, CheckResult
from ml_assets.delivery.environments import Settings
from ml_assets.delivery.releases import Release
from ml_assets_tests.integration.test_ui import free_port
from ml_assets_tests.kits.plans import commit
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan, write_version

pytestmark = pytest.mark.slow

COMMIT = "c" * 40
CANDIDATE = Release(
    digest="sha256:" + "1" * 64,
    name="main",
    images={"base": "ghcr.io/acme/ml-assets@sha256:" + "1" * 64, "production": "-"},
    commit=COMMIT,
)
# Runs start at once: there is no daemon here that takes them from a queue.
CONFIG = """
telemetry: {enabled: false}
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
"""
LOCATION = """
import dagster as dg
from ml_assets.assets import release_smoke as smoke
defs = dg.Definitions.merge(
    smoke.build(), dg.Definitions(executor=dg.in_process_executor)
)
"""


class Webserver:
    """A code server that knows its image, and a webserver."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.code_port, self.port = free_port(), free_port()
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text(CONFIG)
        self.location = home / "location.py"
        self.location.write_text(LOCATION)
        workspace = f"""
            load_from:
              - grpc_server:
                  host: 127.0.0.1
                  port: {self.code_port}
                  location_name: ml-assets
        """
        (home / "workspace.yaml").write_text(textwrap.dedent(workspace))
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, *arguments: str, **environ: str) -> None:
        command = [str(Path(sys.executable).parent / program), *arguments]
        with (self.home / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environ},
            )
        self.started.append(process)

    def serve_code(self, image: str, commit: str = COMMIT) -> None:
        """Start the code server, instead of the one that runs."""
        for process in self.started[1:]:
            end(process)
        self.start(
            "dagster",
            *("api", "grpc", "-f", str(self.location), "-h", "127.0.0.1"),
            *("-p", str(self.code_port)),
            DAGSTER_CURRENT_IMAGE=image,
            ML_ASSETS_GIT_COMMIT=commit,
        )

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/server_info"
            with urllib.request.urlopen(url, timeout=5):
                return True
        return False

    def settings(
        self, patience: float, models: str = "http://none.invalid"
    ) -> Settings:
        return Settings(
            name="staging",
            webserver=f"http://127.0.0.1:{self.port}",
            models=models,
            deployment="code",
            location="ml-assets",
            p99_ms=1000.0,
            patience=patience,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def webserver(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webserver]:
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    found = Webserver(home)
    # The databases are made here: two programs that make them at once collide.
    with dg.DagsterInstance.get() as instance:
        assert not instance.get_runs() and not instance.all_instigator_state()
        assert not instance.all_asset_keys()
    try:
        found.start(
            "dagster-webserver",
            *("-w", str(home / "workspace.yaml"), "-h", "127.0.0.1"),
            *("-p", str(found.port)),
        )
        yield found
    finally:
        for process in found.started:
            end(process)


def by_name(results: list[CheckResult]) -> dict[str, CheckResult]:
    return {result.name: result for result in results}


def test_a_good_release_passes_and_others_do_not(webserver: Webserver) -> None:
    webserver.serve_code(CANDIDATE.images["base"])
    await_true(webserver.answers, "the webserver answers")
    root = webserver.home
    arm = write_version(root, "a", 0)
    commit(plan(arm, 1))
    with Server(root) as server:
        models = f"http://127.0.0.1:{server.port}"
        settings = webserver.settings(120.0, models)
        context = CheckContext(
            settings, CANDIDATE, "staging:1", {"census": "ml-assets-census"}
        )
        found = by_name(checks.run(context))
        assert [f"{f.name}: {f.sentence}" for f in found.values() if not f.passed] == []
        assert [*found] == [*checks.DESCRIPTIONS]
        assert found["smoke"].figures["commit"] == COMMIT
        assert found["model_contract"].figures == {"models": ["census"]}
        assert found["latency"].figures["p99_ms"]["census"] > 0.0
        # The same attempt again finds its run and starts no other.
        again = by_name(checks.run(context))
        assert again["smoke"].figures == found["smoke"].figures
        other = by_name(checks.run(context._replace(key="staging:2")))
        assert other["smoke"].figures["run_id"] != found["smoke"].figures["run_id"]
        # A model that the servers do not have.
        missing = by_name(checks.run(context._replace(models={"other": "x"})))
        assert "other: http" in missing["model_contract"].sentence
        assert "404" in missing["model_contract"].sentence
    gone = by_name(checks.run(context))["model_contract"]
    assert not gone.passed and "cannot be asked" in gone.sentence


def test_the_code_of_another_image_does_not_pass(webserver: Webserver) -> None:
    webserver.serve_code("ghcr.io/acme/ml-assets@sha256:" + "2" * 64)
    await_true(webserver.answers, "the webserver answers")
    context = CheckContext(webserver.settings(1.0), CANDIDATE, "staging:1", {})
    results: dict[str, Any] = {}

    def sentence() -> bool:
        results.update(by_name(checks.run(context)))
        return "expected" in results["code_location"].sentence

    await_true(sentence, "the webserver knows the image")
    assert "runs ghcr.io/acme/ml-assets@sha256:222" in results["code_location"].sentence
    # A code location that breaks says why.
    webserver.location.write_text("raise NameError('no such spec')\n")
    webserver.serve_code(CANDIDATE.images["base"])

    def is_broken() -> bool:
        results.update(by_name(checks.run(context)))
        return "does not load" in results["code_location"].sentence

    await_true(is_broken, "the webserver knows that it is broken")
    assert not results["code_location"].passed
    assert results["smoke"].sentence == "not tried, because code_location failed"
