"""The images, built and run by a real engine as a restricted cluster would run them."""

import json
import re
import runpy
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.delivery.environments import CODE_LOCATION_DEPLOYMENT
from ml_assets_tests.kits import dagster_chart
from ml_assets_tests.kits.chart import CHART, pick, pods, render
from ml_assets_tests.kits.docker import (
    ROOT,
    USER,
    build,
    docker,
    missing_engine,
    network,
    run_once,
    running,
    volume,
)
from ml_assets_tests.kits.pod_commands import target_of
from ml_assets_tests.kits.pod_programs import copied, programs
from ml_assets_tests.kits.processes import await_true

pytestmark = pytest.mark.slow
TARGETS = ("base", "production", "observability")
MODEL = "breast_cancer"
STORAGE = "/var/lib/ml-assets"
PUBLISHED = "--publish=127.0.0.1::"


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """The tags of the three images, built once."""
    if reason := missing_engine():
        pytest.skip(f"building images needs Docker: {reason}")
    tags = {target: f"ml-assets-test:{target}" for target in TARGETS}
    for target, tag in tags.items():
        build(target, tag)
    for target, tag in tags.items():
        size = int(docker("image", "inspect", "--format", "{{.Size}}", tag))
        print(f"{target}: {size / 1e6:.0f} MB")
    return tags


@pytest.fixture(scope="module")
def trained(images: dict[str, str]) -> Iterator[str]:
    """A volume in which the code location's image has trained and deployed a model."""
    with volume() as name:
        options = [f"--volume={name}:{STORAGE}"]
        for step in ("train", "deploy"):
            run_once(images["base"], "ml-assets", step, MODEL, options=options)
        yield name


def instance(directory: Path) -> list[str]:
    """Options that give a container a Dagster instance on its /tmp."""
    settings = directory / "dagster.yaml"
    settings.write_text(
        "storage: {sqlite: {base_dir: /tmp/dagster}}\n"
        "local_artifact_storage:\n"
        "  module: dagster.core.storage.root\n"
        "  class: LocalArtifactStorage\n"
        "  config: {base_dir: /tmp/dagster}\n"
        "compute_logs:\n"
        "  module: dagster.core.storage.noop_compute_log_manager\n"
        "  class: NoOpComputeLogManager\n"
        "telemetry: {enabled: false}\n"
    )
    settings.chmod(0o644)
    directory.chmod(0o755)
    return [
        "--env=DAGSTER_HOME=/opt/dagster/dagster_home",
        f"--volume={settings}:/opt/dagster/dagster_home/dagster.yaml:ro",
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_with_its_tools_left_behind(
    images: dict[str, str], target: str
) -> None:
    tag = images[target]
    assert docker("image", "inspect", "--format", "{{.Config.User}}", tag) == USER
    found = run_once(tag, "sh", "-c", "id -u; command -v gcc cc make uv; true")
    assert found == "10001"
    missing = run_once(tag, "python", "-c", "import importlib.util as i;"
                       "print([i.find_spec(n) for n in ('pip', 'uv')])")  # fmt: skip
    assert missing == "[None, None]"
    cached = run_once(tag, "sh", "-c", "ls -A /var/lib/apt/lists /tmp")
    assert cached.split() == ["/tmp:", "/var/lib/apt/lists:"]  # nosec B108


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_was_made_from(
    images: dict[str, str], target: str
) -> None:
    labels = docker(
        "image", "inspect", "--format", "{{json .Config.Labels}}", images[target]
    )
    assert json.loads(labels)["org.opencontainers.image.revision"] == "0123abc"


def test_the_server_image_holds_what_serves_and_no_more(images: dict[str, str]) -> None:
    script = (
        "import importlib, importlib.util as i\n"
        "from ml_assets.core import trusted\n"
        "import ml_assets.serving.runtime.sklearn_runtime, skops.io, pandas\n"
        "for names in trusted.TRUSTED.values():\n"
        "    for name in names:\n"
        "        importlib.import_module(name.rpartition('.')[0])\n"
        "heavy = ('dagster', 'mlflow', 'great_expectations', 'docker', 'matplotlib')\n"
        "print([name for name in heavy if i.find_spec(name)])\n"
    )
    assert run_once(images["production"], "python", "-c", script) == "[]"


def test_the_code_location_is_healthy_until_it_cannot_answer(
    images: dict[str, str],
) -> None:
    # As the Dagster chart starts it: with a DAGSTER_HOME that holds nothing.
    home = ["--env=DAGSTER_HOME=/opt/dagster/dagster_home"]
    with running(images["base"], options=home) as container:
        container.await_health("healthy")
        container.signal("SIGSTOP")
        assert "unhealthy" in container.await_health("unhealthy")
        container.signal("SIGCONT")
        container.await_health("healthy")


def test_a_pod_waits_for_the_code_location_and_probes_it_as_the_charts_say(
    images: dict[str, str],
) -> None:
    """The very script of the init container, arguments and probe of both charts."""
    objects = dagster_chart.described(dagster_chart.values())
    found = {pod.owner: pod.spec for pod in pods(objects)}
    (code,) = found[f"Deployment/{CODE_LOCATION_DEPLOYMENT}"]["containers"]
    (waiting,) = found["Deployment/dagster-daemon"]["initContainers"]
    assert target_of(code["image"]) == target_of(waiting["image"]) == "base"
    script = waiting["command"]
    with network() as name:
        wired = [f"--network={name}"]
        init = [*wired, f"--entrypoint={script[0]}"]
        with running(images["base"], *script[1:], options=init) as pod:
            await_true(lambda: "waiting" in pod.logs(), "the name is looked up")
            assert pod.inspect("{{.State.Running}}") == "true"
            with pytest.raises(AssertionError, match="nslookup|docker exec: "):
                pod.run("nslookup", "ml-assets")
            options = [*wired, "--network-alias=ml-assets"]
            with running(images["base"], *code["args"], options=options) as location:
                assert docker("wait", pod.id) == "0"
                assert "ml-assets" in run_once(
                    images["base"], "nslookup", "ml-assets", options=wired
                )
                probe = code["livenessProbe"]["exec"]["command"]
                location.await_health("healthy")
                assert location.run(*probe) == ""
                with pytest.raises(AssertionError, match="unhealthy"):
                    location.run(*probe[:-1], "127.0.0.1:4001")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_the_programs_that_the_test_of_the_charts_counts_on(
    images: dict[str, str], target: str
) -> None:
    names = sorted(programs(target))
    script = 'for name; do command -v "$name" >/dev/null || echo "$name"; done'
    assert run_once(images[target], "sh", "-c", script, "-", *names) == ""
    places = [place for _, place in copied(target)]
    run_once(images[target], "ls", *places)


@pytest.mark.parametrize(
    "command, port, path",
    [
        (["dagster-webserver", "-h", "0.0.0.0", "-p", "3000"], 3000, "/server_info"),
        (["dagster-daemon", "run"], None, None),
    ],
    ids=["webserver", "daemon"],
)
def test_the_same_image_is_dagsters_webserver_and_daemon(
    images: dict[str, str],
    tmp_path: Path,
    command: list[str],
    port: int | None,
    path: str | None,
) -> None:
    check = "dagster-daemon liveness-check" if port is None else (
        f"python /opt/healthcheck.py http http://127.0.0.1:{port}{path}"
    )  # fmt: skip
    options = [
        *instance(tmp_path),
        f"--health-cmd={check}",
        # What makes the databases of a new instance must not meet another that does.
        "--health-interval=20s",
        "--health-timeout=60s",
    ]
    full = [*command, "-m", "ml_assets.definitions"]
    with running(images["base"], *full, options=options) as container:
        container.await_health("healthy")


def test_the_server_image_holds_whatever_the_server_may_import(
    images: dict[str, str],
) -> None:
    script = (Path(__file__).parent / "imports_of_server.py").read_text()
    assert run_once(images["production"], "python", "-c", script) == "[]"


def test_the_code_locations_image_reaches_databases_and_buckets(
    images: dict[str, str],
) -> None:
    script = "import dagster_postgres, psycopg2, s3fs, boto3, docker, kubernetes"
    assert run_once(images["base"], "python", "-c", script) == ""


def test_a_handoff_is_unhealthy_without_a_server(images: dict[str, str]) -> None:
    command = ["ml-assets", "handoff", "--handoff", "/run/ml-assets/x.sock"]
    options = ["--tmpfs=/run/ml-assets:uid=10001"]
    with running(images["production"], *command, options=options) as container:
        container.await_health("unhealthy")


def test_a_server_without_a_version_is_unhealthy_and_turns_healthy_with_one(
    images: dict[str, str], trained: str
) -> None:
    with volume() as name:
        options = [f"--volume={name}:{STORAGE}", f"{PUBLISHED}8080"]
        with running(images["production"], options=options) as container:
            assert "503" in container.await_health("unhealthy")
            brought = [f"--volume={trained}:/trained:ro", options[0]]
            copy = ["cp", "--recursive", "/trained/.", STORAGE]
            run_once(images["base"], *copy, options=brought)
            container.await_health("healthy")
            container.signal("SIGSTOP")
            container.await_health("unhealthy")


def test_a_prediction_comes_out_of_the_server_image(
    images: dict[str, str], trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--volume={trained}:{STORAGE}", f"{PUBLISHED}8080", f"{PUBLISHED}8000"]
    with running(images["production"], options=options) as container:
        container.await_health("healthy")
        # The script of `helm test`, from outside.
        script = runpy.run_path(str(CHART / "files" / "serving.py"))
        assert script["main"](container.address(8080), MODEL) == 0
        answer = capsys.readouterr().out
        version = run_once(
            images["base"], "ml-assets", "models", "--json", options=options[:1]
        )
        assert answer.split()[1] in version
        with urllib.request.urlopen(f"{container.address(8080)}/openapi.json") as found:
            route = json.load(found)["paths"][f"/models/{MODEL}/predict"]["post"]
        example = route["requestBody"]["content"]["application/json"]["example"]
        request = urllib.request.Request(
            f"{container.address(8080)}/models/{MODEL}/predict",
            json.dumps(example).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as predicted:
            (prediction,) = json.load(predicted)["predictions"]
        assert 0.0 <= prediction["probability"] <= 1.0
        with urllib.request.urlopen(f"{container.address(8000)}/metrics") as metrics:
            assert b"# HELP" in metrics.read()
        docker("stop", "--time=20", container.id)
        assert container.inspect("{{.State.ExitCode}}") == "0"


def test_a_version_names_the_commit_of_the_image_that_trained_it(
    images: dict[str, str], trained: str
) -> None:
    options = [f"--volume={trained}:{STORAGE}"]
    found = run_once(
        images["base"],
        "sh",
        "-c",
        f"grep -rlF 0123abc {STORAGE} | head -1",
        options=options,
    )
    assert found.startswith(STORAGE)


def test_the_exporter_is_unhealthy_when_it_does_not_answer(
    images: dict[str, str], tmp_path: Path
) -> None:
    with running(images["observability"], options=instance(tmp_path)) as container:
        container.await_health("healthy")
        container.signal("SIGSTOP")
        container.await_health("unhealthy")


def test_mlflow_runs_as_the_chart_starts_it_and_asks_for_a_password(
    images: dict[str, str], tmp_path: Path
) -> None:
    objects = render()
    spec = pick(objects, "Deployment", "ml-assets-mlflow")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    configuration = pick(objects, "ConfigMap", "ml-assets-mlflow")["data"]
    (tmp_path / "basic_auth.ini").write_text(configuration["basic_auth.ini"])
    tmp_path.chmod(0o755)
    probe = f"http://127.0.0.1:5000{container['readinessProbe']['httpGet']['path']}"
    environment = [
        f"--env={item['name']}={item.get('value', 'a-long-enough-secret')}"
        for item in container["env"]
    ]
    options = [
        *environment,
        f"--volume={tmp_path}:/etc/mlflow:ro",
        "--tmpfs=/var/lib/mlflow:uid=10001,gid=10001",
        f"{PUBLISHED}5000",
        f"--health-cmd=python /opt/healthcheck.py http {probe}",
    ]
    with running(images["base"], *container["args"], options=options) as mlflow:
        mlflow.await_health("healthy")
        address = (
            f"{mlflow.address(5000)}/api/2.0/mlflow/experiments/get?experiment_id=0"
        )
        request = urllib.request.Request(
            address, headers={"host": "ml-assets-mlflow:5000"}
        )
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)
        assert error.value.code == 401
        request.add_header("host", "attacker.example.com")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)
        assert error.value.code == 403


def test_volumes_are_copied_and_restored_as_the_guide_says(
    images: dict[str, str], trained: str, tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    copy, restore = re.findall(
        r"^for volume in .*?^done", guide, re.DOTALL | re.MULTILINE
    )
    with volume() as mlflow, volume() as lost:
        for loop, storage in ((copy, trained), (restore, lost)):
            script = f"mlflow={mlflow} storage={storage}\n" + loop.replace(
                "ml-assets_$volume", "${!volume}"
            )
            script = script.replace("ml-assets:base", images["base"])
            assert "${!volume}" in script and images["base"] in script
            subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True)
        options = [f"--volume={lost}:{STORAGE}"]
        output = run_once(
            images["base"], "ml-assets", "versions", MODEL, options=options
        )
        assert "in service" in output
        run_once(images["base"], "ml-assets", "ledger", MODEL, options=options)
