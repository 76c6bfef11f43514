"""Plans rolled out to containers of a real engine, under load, killed and refused."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ml_assets.core.files import write_bytes
from ml_assets.records.plan import Arm, pin_of
from ml_assets.state.plans import Plans, publish
from ml_assets.targets import RolloutError
from ml_assets_tests.kits.docker import Container, build, docker, missing_engine
from ml_assets_tests.kits.docker_stack import MODEL, Stack
from ml_assets_tests.kits.plans import apply
from ml_assets_tests.kits.serving import plan

pytestmark = pytest.mark.slow
IMAGE = "ml-assets-test:production"


@pytest.fixture(scope="module")
def image() -> str:
    if reason := missing_engine():
        pytest.skip(f"containers need Docker: {reason}")
    build("production", IMAGE)
    return IMAGE


@pytest.fixture
def stack(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    # pytest's directories are for its own user only.
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    root = tmp_path / "storage"
    root.mkdir()
    # As in compose.yaml, one volume is the home and the storage.
    monkeypatch.setenv("ML_ASSETS_HOME", str(root))
    stack = Stack(root, image)
    monkeypatch.setenv("ML_ASSETS_STACK", stack.name)
    yield stack
    stack.remove()


def test_a_second_version_takes_over_under_load_without_a_lost_request(
    stack: Stack,
) -> None:
    handoff = stack.open_handoff()
    a, b = stack.arms.values()
    assert apply(stack.target, plan(a, 1)) == (plan(a, 1), 1)
    handoff.await_health("healthy")
    load = stack.under_load(lambda: apply(stack.target, plan(b, 2)))
    assert (load.lost, load.wrong) == ([], [])
    assert load.order == ["a", "b"]
    assert stack.servers() == [(2, "running")]
    assert Plans().history(MODEL) == [plan(a, 1), plan(b, 2)]
    # The same again changes nothing.
    (before,) = stack.server_ids()
    assert apply(stack.target, plan(b, 2)) == (plan(b, 2), 1)
    assert stack.server_ids() == [before]


def test_servers_are_as_restricted_as_the_handoff(stack: Stack) -> None:
    stack.open_handoff("--memory=600m", "--cpus=0.5", "--env=ML_ASSETS_MAX_ROWS=7")
    apply(stack.target, plan(stack.arms["a"], 1))
    (id_,) = stack.server_ids()
    server = Container(id_)
    server.await_health("healthy")
    found = json.loads(docker("inspect", id_))[0]
    host, settings = found["HostConfig"], found["Config"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert (host["Memory"], host["NanoCpus"]) == (600 * 2**20, 500_000_000)
    assert host["PortBindings"] == {} and settings["User"] == "10001:10001"
    pin = f"ML_ASSETS_GENERATION={pin_of(Plans().history(MODEL)[-1])}"
    assert {"ML_ASSETS_MODEL=census", pin} <= {*settings["Env"]}
    assert "ML_ASSETS_MAX_ROWS=7" in settings["Env"]
    # Prometheus finds all servers by one name.
    addresses = server.run("getent", "hosts", "model-servers")
    assert found["NetworkSettings"]["Networks"][stack.name]["IPAddress"] in addresses


def test_a_version_that_answers_otherwise_is_refused_and_traffic_sees_nothing(
    stack: Stack,
) -> None:
    stack.open_handoff()
    a, b = stack.arms.values()
    apply(stack.target, plan(a, 1))
    altered = with_other_answers(stack.root, b)

    def refused() -> None:
        with pytest.raises(RolloutError, match="version b was refused: probe row 3"):
            apply(stack.target, plan(altered, 2))

    load = stack.under_load(refused)
    assert (load.lost, load.wrong, load.order) == ([], [], ["a"])
    assert stack.servers() == [(1, "running")]
    assert Plans().current(MODEL) == plan(a, 1)
    assert stack.target.published.of_generation(MODEL, 2) == []


def test_a_container_that_ends_is_no_rollout_and_its_log_is_reported(
    stack: Stack,
) -> None:
    stack.open_handoff("--env=ML_ASSETS_MAX_ROWS=many")
    with pytest.raises(RolloutError, match="(?s)ended with exit code 2: .*max_rows"):
        apply(stack.target, plan(stack.arms["a"], 1))
    assert stack.servers() == []
    assert Plans().current(MODEL) is None


def test_the_error_for_a_model_without_a_handoff_names_what_to_declare(
    stack: Stack,
) -> None:
    stack.open_handoff(labels=False)
    expected = f"0 running containers are labelled .*{MODEL}.*{stack.name}"
    with pytest.raises(RolloutError, match=expected):
        apply(stack.target, plan(stack.arms["a"], 1))


def test_an_overtaken_plan_is_refused_and_leaves_no_container(stack: Stack) -> None:
    stack.open_handoff()
    a, b = stack.arms.values()
    apply(stack.target, plan(a, 1))
    with pytest.raises(RolloutError, match="generation 1 already exists"):
        apply(stack.target, plan(b, 1))
    assert stack.servers() == [(1, "running")]


def test_a_new_image_replaces_the_server_under_load(stack: Stack) -> None:
    stack.open_handoff()
    current = plan(stack.arms["a"], 1)
    apply(stack.target, current)
    before = stack.server_ids()
    changed = f"FROM {stack.image}\nLABEL changed=yes\n"
    subprocess.run(
        [os.environ.get("DOCKER", "docker"), "build", "-q", "-t", stack.image, "-"],
        input=changed.encode(),
        check=True,
        capture_output=True,
    )
    load = stack.under_load(lambda: apply(stack.target, current))
    assert (load.lost, load.wrong) == ([], [])
    (after,) = stack.server_ids()
    assert [after] != before
    labels = Container(after).inspect("{{json .Config.Labels}}")
    assert json.loads(labels)["changed"] == "yes"


def test_a_killed_server_comes_back_by_itself_while_clients_wait(stack: Stack) -> None:
    handoff = stack.open_handoff()
    apply(stack.target, plan(stack.arms["a"], 1))
    (server,) = stack.server_ids()
    Container(server).signal("SIGKILL")
    load = stack.under_load(lambda: None)
    assert (load.lost, load.wrong) == ([], [])
    docker("restart", "--time=5", handoff.id)
    handoff.await_health("healthy")
    load = stack.under_load(lambda: None)
    assert (load.lost, load.wrong) == ([], [])


def test_a_deployer_that_is_killed_anywhere_is_finished_by_the_next(
    stack: Stack,
) -> None:
    stack.open_handoff()
    apply(stack.target, plan(stack.arms["a"], 1))
    published = stack.target.published
    outcomes: dict[str, bool] = {}

    def has_second(generation: int, first: str = "running") -> bool:
        return stack.servers() == [(generation - 1, first), (generation, "running")]

    moments: dict[str, Callable[[int], bool]] = {
        "tried": lambda number: bool(published.of_generation(MODEL, number)),
        "created": lambda _: len(stack.servers()) == 2,
        "started": has_second,
        "committed": lambda number: len(Plans().history(MODEL)) == number,
        "old one stopping": lambda number: has_second(number, "exited"),
        "old one removed": lambda number: stack.servers() == [(number, "running")],
    }

    def kill_and_repeat() -> None:
        for number, (name, moment) in enumerate(moments.items(), start=2):
            wanted = plan(stack.arms["ab"[number % 2]], number)
            deployer = stack.deployer(wanted)
            while not moment(number) and deployer.poll() is None:
                time.sleep(0.001)
            deployer.send_signal(signal.SIGKILL)
            deployer.wait()
            outcomes[name] = Plans().current(MODEL) == wanted
            with stack.target.lock(MODEL):
                # As the next deployer does: the other may have died before this.
                publish(MODEL)
                apply(stack.target, wanted)
            assert stack.servers() == [(number, "running")]

    load = stack.under_load(kill_and_repeat)
    print(outcomes)
    assert (load.lost, load.wrong) == ([], [])
    # Some died before their plan was active, some after.
    assert {*outcomes.values()} == {True, False}
    assert len(Plans().history(MODEL)) == 1 + len(moments)


def with_other_answers(root: Path, arm: Arm) -> Arm:
    """The version with one stored answer changed, and every digest right."""
    path = root / arm.bundle / "probe.json"
    probe = json.loads(path.read_bytes())
    probe["answers"][3] += 1e-5
    write_bytes(path, json.dumps(probe).encode())
    path.chmod(0o644)
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    return msgspec.structs.replace(arm, files={**arm.files, "probe.json": new})
