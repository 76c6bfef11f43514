"""Plans rolled out to a cluster that fails, by deployers that are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ml_assets.records.plan import Arm, ServingPlan, encode, pin_of
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.state.locks import LockError, advisory_lock, database_url
from ml_assets.targets import RolloutError, TargetError
from ml_assets.targets.choose import target as chosen_target
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.postgres import postgres
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan, rows, write_version

__all__ = ["postgres"]

NAME = "ml-assets-census"
# A deployer in a process of its own: it takes the lock and applies one plan.
DEPLOYER = """
import sys
from pathlib import Path
import msgspec
from ml_assets.records.plan import ServingPlan
from ml_assets.targets.choose import target
plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ServingPlan)
chosen = target()
with chosen.lock(plan.model):
    chosen.apply(plan)
"""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arm, Arm]:
    root = tmp_path_factory.mktemp("storage")
    return root, write_version(root, "a", 0), write_version(root, "b", 1)


@pytest.fixture
def a(storage: tuple[Path, Arm, Arm]) -> Arm:
    return storage[1]


@pytest.fixture
def b(storage: tuple[Path, Arm, Arm]) -> Arm:
    return storage[2]


@pytest.fixture
def root(storage: tuple[Path, Arm, Arm], tmp_path: Path) -> Path:
    """The bundles of two versions, and no plan."""
    (tmp_path / "bundles").symlink_to(storage[0] / "bundles")
    return tmp_path


@pytest.fixture
def api(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """A cluster with the model's Deployment; pods load what they are pinned to."""
    api = KubernetesApi()
    store = PlanStore(root)

    def judge(pod: Pod) -> str | None:
        pin = pod.annotations.get(ANNOTATION)
        found = store.pinned("census", pin) if pin else store.current("census")
        return None if found else f"there is no plan {pin}"

    api.judge = judge
    api.add(NAME, replicas=2, deadline=2)
    for name, value in api.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ML_ASSETS_TARGET", "kubernetes")
    monkeypatch.setenv("ML_ASSETS_STORAGE", str(root))
    with api.running():
        yield api


@pytest.fixture
def target(api: KubernetesApi, root: Path) -> KubernetesTarget:
    return KubernetesTarget(root, api.cluster())


def serving(api: KubernetesApi) -> set[str | None]:
    """What the ready pods are pinned to."""
    return {pod.annotations.get(ANNOTATION) for pod in api.pods(NAME) if pod.ready}


def refuse(api: KubernetesApi, bad: ServingPlan) -> None:
    """Pods that are pinned to `bad` never get ready."""
    good = api.judge
    api.judge = lambda pod: (
        "probe row 3: 0.2 instead of 0.4"
        if pod.annotations.get(ANNOTATION) == pin_of(bad)
        else good(pod)
    )


def test_a_plan_is_active_when_every_pod_serves_it(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    assert target.apply(plan(a, 1)) == (plan(a, 1), 2)
    assert target.apply(plan(b, 2)) == (plan(b, 2), 2)
    assert serving(api) == {pin_of(plan(b, 2))}
    assert target.history("census") == [plan(a, 1), plan(b, 2)]
    assert target.store.staged("census") == []
    _, patch = api.patches[-1]
    template = {"metadata": {"annotations": {ANNOTATION: pin_of(plan(b, 2))}}}
    assert patch["spec"] == {"template": template}


def test_the_active_plan_may_be_applied_again(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    target.apply(plan(a, 1))
    assert target.apply(plan(a, 1)) == (plan(a, 1), 2)
    assert len(api.patches) == 1


def test_a_deployment_that_lost_its_pin_is_pinned_to_the_active_plan(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    target.apply(plan(a, 1))
    api.edit(NAME, lambda found: found["spec"]["template"]["metadata"].clear())
    api.edit(
        NAME,
        lambda found: found["spec"]["template"]["metadata"].update(
            labels={"app.kubernetes.io/name": "ml-assets"}
        ),
    )
    target.apply(plan(a, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_a_failed_rollout_returns_to_the_active_plan_with_the_reasons(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    target.apply(plan(a, 1))
    refuse(api, plan(b, 2))
    with pytest.raises(RolloutError) as caught:
        target.apply(plan(b, 2))
    assert "probe row 3: 0.2 instead of 0.4" in str(caught.value)
    assert "all 2 replicas run the former template" in str(caught.value)
    assert target.current("census") == plan(a, 1)
    assert serving(api) == {pin_of(plan(a, 1))}
    assert api.is_complete(NAME)
    assert target.store.staged("census") == []


def test_the_first_plan_of_all_is_taken_back_to_none(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    refuse(api, plan(a, 1))
    # Nothing serves before, so that a return can only be verified by its template.
    short = KubernetesTarget(target.store.root, api.cluster(), timeout=4.0)
    with pytest.raises(RolloutError, match="plan 1 of census is not active"):
        short.apply(plan(a, 1))
    assert api.annotation(NAME, ANNOTATION) is None
    assert target.current("census") is None
    api.judge = lambda pod: None
    target.apply(plan(a, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_a_version_that_does_not_load_never_reaches_the_cluster(
    api: KubernetesApi, target: KubernetesTarget, a: Arm
) -> None:
    target.apply(plan(a, 1))
    files = {name: "0" * 64 for name in a.files}
    bad = Arm(version="x", bundle=a.bundle, files=files, runtime="compiled")
    with pytest.raises(RolloutError, match="version x was refused"):
        target.apply(plan(bad, 2))
    assert len(api.patches) == 1


def test_a_plan_that_was_overtaken_is_refused(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    target.apply(plan(a, 1))
    with pytest.raises(RolloutError, match="generation 1 is, expected plan 2"):
        target.apply(plan(b, 1))
    assert serving(api) == {pin_of(plan(a, 1))}


def test_an_api_that_goes_away_for_good_leaves_work_that_the_next_one_finishes(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    target.apply(plan(a, 1))

    def go_down(name: str, patch: Any) -> None:
        api.is_down = True

    api.before_patch = go_down
    hasty = KubernetesTarget(target.store.root, api.cluster(patience=1.0))
    with pytest.raises(RolloutError, match="did not serve us for 1 s"):
        hasty.apply(plan(b, 2))
    assert target.current("census") == plan(a, 1)
    api.before_patch, api.is_down = (lambda name, patch: None), False
    again = plan(b, 2)
    assert target.apply(again) == (again, 2)
    assert serving(api) == {pin_of(again)}


def test_a_zombie_does_not_overwrite_a_newer_plan(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    target.apply(plan(a, 1))
    newer = plan(b, 2)
    zombie = KubernetesTarget(target.store.root, api.cluster())

    def overtake(name: str, patch: Any) -> None:
        # While the zombie's patch is on its way, another deployer does all its work.
        api.before_patch = lambda name, patch: None
        target.apply(newer)

    api.before_patch = overtake
    late = ServingPlan(
        model="census", generation=2, arms=(a,), created_at="later", reason="late"
    )
    with pytest.raises(RolloutError, match="another deployer was first"):
        zombie.apply(late)
    assert target.history("census") == [plan(a, 1), newer]
    assert serving(api) == {pin_of(newer)}


def test_a_zombie_that_commits_first_is_followed_by_the_cluster(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    target.apply(plan(a, 1))
    zombies = plan(a, 2)

    def commit(name: str, patch: Any) -> None:
        if target.current("census") == plan(a, 1):
            target.store.stage(zombies)
            target.store.commit(zombies)

    api.before_patch = commit
    with pytest.raises(RolloutError, match="generation 2 already exists"):
        target.apply(plan(b, 2))
    assert target.current("census") == zombies
    assert serving(api) == {pin_of(zombies)}


def test_without_a_cluster_the_target_says_what_is_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", "kubernetes")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(TargetError, match="K8S_SERVER is not set"):
        chosen_target()


# Deployers in processes of their own


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts deployers of plans; they read the environment of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(wanted: ServingPlan, **environ: str) -> subprocess.Popen[bytes]:
        path = tmp_path / f"{pin_of(wanted)}.json"
        path.write_bytes(encode(wanted))
        process = subprocess.Popen(
            [sys.executable, "-c", DEPLOYER, str(path)],
            env={**os.environ, **environ},
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["staged", "patched", "complete"])
def test_what_a_killed_deployer_began_is_taken_on_by_the_next(
    moment: str,
    api: KubernetesApi,
    target: KubernetesTarget,
    start: Callable[..., subprocess.Popen[bytes]],
    a: Arm,
    b: Arm,
) -> None:
    target.apply(plan(a, 1))
    first = plan(b, 2)
    pin = pin_of(first)
    moments: dict[str, Callable[[], object]] = {
        "staged": lambda: target.store.staged("census"),
        "patched": lambda: api.annotation(NAME, ANNOTATION) == pin,
        "complete": lambda: api.is_complete(NAME) and serving(api) == {pin},
    }
    if moment == "staged":
        # Its patch waits until it is dead, and is then no more than a lost request.
        blocked = threading.Event()
        api.before_patch = lambda name, patch: blocked.wait(20) and None
    process = start(first)
    await_true(moments[moment], f"the plan is {moment}")
    process.send_signal(signal.SIGKILL)
    process.wait()
    if moment == "staged":
        api.before_patch = lambda name, patch: None
        api.cut(method="NONE")
    # A retried run makes a plan of its own, which differs in its time.
    second = ServingPlan(
        model="census", generation=2, arms=(b,), created_at="again", reason="retried"
    )
    with target.lock("census"):
        if target.current("census") == plan(a, 1):
            target.apply(second)
    assert target.current("census") in (first, second)
    current = target.current("census")
    assert current is not None
    await_true(lambda: serving(api) == {pin_of(current)}, "the pods serve it")
    assert target.store.staged("census") == []
    if moment == "staged":
        blocked.set()


@pytest.mark.slow
def test_of_two_deployers_one_wins_and_no_state_is_lost(
    api: KubernetesApi,
    target: KubernetesTarget,
    start: Callable[..., subprocess.Popen[bytes]],
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    a: Arm,
    b: Arm,
) -> None:
    url = f"postgresql+psycopg2://ann:p%40ss%2Fword@{postgres}"
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", url)
    target.apply(plan(a, 1))
    plans = [
        ServingPlan(
            model="census", generation=2, arms=(b,), created_at=str(n), reason="race"
        )
        for n in range(2)
    ]
    processes = [start(item) for item in plans]
    codes = [process.wait(120) for process in processes]
    assert sorted(codes) == [0, 1]
    winner = plans[codes.index(0)]
    assert target.history("census") == [plan(a, 1), winner]
    assert serving(api) == {pin_of(winner)}
    assert len(api.patches) == 2


# The lock in the database


@pytest.mark.slow
def test_the_database_lock_is_exclusive_and_its_loss_is_noticed(postgres: str) -> None:
    url = f"postgresql://ann:p%40ss%2Fword@{postgres}"
    with advisory_lock(url, "one") as check:
        with pytest.raises(LockError, match="another holder kept the lock one"):
            with advisory_lock(url, "one", seconds=0.2):
                pass
        with advisory_lock(url, "other"):
            check()
        admin = psycopg2.connect(url)
        admin.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory'"
        )
        admin.close()
        with pytest.raises(LockError, match="the lock one is lost"):
            check()
    with advisory_lock(url, "one", seconds=5.0):
        pass


@pytest.mark.slow
def test_a_deployer_that_lost_its_lock_changes_nothing(
    api: KubernetesApi,
    target: KubernetesTarget,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    a: Arm,
) -> None:
    url = f"postgresql://ann:p%40ss%2Fword@{postgres}"
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", url)
    with target.lock("census"):
        admin = psycopg2.connect(url)
        admin.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory'"
        )
        admin.close()
        with pytest.raises(RolloutError, match="the lock .* is lost"):
            target.apply(plan(a, 1))
    assert target.current("census") is None
    assert not api.patches


@pytest.mark.slow
def test_the_database_of_the_dagster_instance_is_found(
    postgres: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert database_url() is None
    # The plain scheme means psycopg 3 to SQLAlchemy.
    url = f"postgresql+psycopg2://ann:p%40ss%2Fword@{postgres}"
    storage = {"postgres": {"postgres_url": url}}
    (home / "dagster.yaml").write_text(json.dumps({"storage": storage}))
    assert database_url() == url


# Pods that are real model servers


@pytest.mark.slow
def test_real_servers_are_pinned_to_their_generation_and_refuse_by_name(
    api: KubernetesApi, target: KubernetesTarget, a: Arm, b: Arm
) -> None:
    servers: dict[str, Server] = {}
    root = target.store.root

    def judge(pod: Pod) -> str | None:
        if pod.name not in servers:
            pin = pod.annotations.get(ANNOTATION, "")
            servers[pod.name] = Server(root, "--model", "census", f"--generation={pin}")
        status, body = servers[pod.name].get("/v2/health/ready")
        return None if status == 200 else f"readiness: {status} {body.decode()}"

    api.judge = judge
    api.stop = lambda pod: servers.pop(pod.name).__exit__()
    api.edit(NAME, lambda found: found["spec"].update(progressDeadlineSeconds=60))
    try:
        target.apply(plan(a, 1))
        target.apply(plan(b, 2))
        for server in list(servers.values()):
            assert server.predict(rows(3))["version"] == "b"
        # The trial in the deployer's process passes, and then the file changes.
        broken = plan(a, 3)
        path = root / "bundles" / "a" / "runtime.npz"
        whole = path.read_bytes()
        api.before_patch = (
            lambda name, patch: path.write_bytes(b"x" + whole[1:]) and None
        )
        with pytest.raises(RolloutError, match="refused the plan: .*runtime.npz"):
            target.apply(broken)
        path.write_bytes(whole)
        assert serving(api) == {pin_of(plan(b, 2))}
        for server in list(servers.values()):
            assert server.predict(rows(3))["version"] == "b"
    finally:
        with api.changed:
            # The controller asks no server that is about to end.
            api.judge = lambda pod: None
        for server in servers.values():
            server.__exit__()
