"""The command line against a running model server and a real registry."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.cli.checks import registry, serving
from ml_assets.cli.demo.environment import Ports, await_server, start_server
from ml_assets.cli.processes import Children
from ml_assets.state.registry import CHAMPION, Registry
from ml_assets_tests.kits.cli import (
    VERSION,
    deploy_small_model,
    evaluated,
    in_service,
    invoke,
)

CSV = "age,sex\n41,f\n,m\n55,NA\n"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    deploy_small_model(root)
    return root


@pytest.fixture
def server(
    deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ports]:
    monkeypatch.setenv("ML_ASSETS_HOME", str(deployed))
    with Children() as children:
        ports, _ = await_server(children, start_server(children, tmp_path))
        children.wait_for(
            lambda: next(serving.check(ports.url)).status == "ok" or None, "a plan", 30
        )
        yield ports


def test_a_server_answers_as_the_plan_in_this_process(server: Ports) -> None:
    here = json.loads(invoke("predict", "income", "--json", stdin=CSV).stdout)
    there = invoke("predict", "income", "--json", "--url", server.url, stdin=CSV)
    answers = json.loads(there.stdout)
    assert answers["version"] == VERSION
    assert [p["probability"] for p in answers["predictions"]] == [
        p["probability"] for p in here["predictions"]
    ]


def test_a_server_refuses_rows_in_the_same_words(server: Ports) -> None:
    rows = "age,sex\n1,f\nold,f\n"
    here = invoke("predict", "income", "--output", "csv", stdin=rows)
    there = invoke("predict", "income", "--url", server.url, stdin=rows)
    assert (here.exit_code, there.exit_code) == (1, 1)
    message = "row 2, column 'age': expected a number or null, found a string"
    assert message in here.stderr and message in there.stderr


def test_a_model_that_the_server_does_not_have_is_named(server: Ports) -> None:
    result = invoke("predict", "churn", "--url", server.url, stdin=CSV)
    assert result.exit_code == 1
    assert "the model server says: the models here are income" in result.stderr


def test_the_doctor_sees_what_the_server_serves(server: Ports) -> None:
    found = list(serving.check(server.url))
    assert [finding.status for finding in found] == ["ok", "ok"]
    assert f"version {VERSION}, plan 1" in found[1].message


def test_the_doctor_sees_a_server_that_serves_another_plan(
    server: Ports, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    finding = list(serving.check(server.url))[1]
    assert finding.status == "problem"
    assert "the active plan is None" in finding.message


@pytest.mark.slow
def test_the_doctor_compares_plans_with_the_registry(home: Path) -> None:
    client = Registry().client
    model = "breast_cancer"
    client.create_registered_model(model)
    for number in ("1", "2"):
        client.create_model_version(model, source=f"file:///nowhere/{number}")
    evaluated(home, model, VERSION, 0.95, passed=True)
    bundle = home / "versions" / model / VERSION / "bundle"
    bundle.mkdir(parents=True)
    in_service(home, model, VERSION)
    Registry().set_aliases(model, {CHAMPION: "2"})
    reached, plan = registry.check()
    assert reached.status == "ok"
    assert plan.status == "problem"
    assert "the registry's champion is 2" in plan.message
    (bundle / "stray").touch()
    assert "stray" in list(registry.check())[1].message


@pytest.mark.slow
def test_the_doctor_of_a_fresh_installation_finds_no_problem(home: Path) -> None:
    result = invoke("doctor", "--json")
    document = json.loads(result.stdout)
    assert document["problems"] == 0, document
    assert result.exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, code",
    [(["train", "breast_cancer"], 0), (["deploy", "breast_cancer"], 1)],
    ids=["train", "deploy before any version passed"],
)
def test_a_shell_trains_and_is_shown_why_nothing_can_be_deployed(
    home: Path, arguments: list[str], code: int
) -> None:
    command = [sys.executable, "-m", "ml_assets.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert "no version of breast_cancer has passed its gate" in done.stderr
        return
    assert "the version passes" in done.stdout
    assert invoke("deploy", "breast_cancer").exit_code == 0
    row = json.loads(invoke("versions", "breast_cancer", "--json").stdout)
    assert row["versions"][0]["in_service"] is True
    again = subprocess.run(command, capture_output=True, text=True)
    assert "skipped: data, code and configuration are those of" in again.stdout


@pytest.mark.slow
def test_a_training_that_is_interrupted_ends_its_run(home: Path) -> None:
    import dagster as dg

    command = [sys.executable, "-m", "ml_assets.cli", "train", "breast_cancer"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "reading the source" in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(60) == 1
    assert "Traceback" not in rest
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.is_finished and not run.is_success
