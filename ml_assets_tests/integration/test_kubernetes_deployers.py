"""Deployers that are killed or race, their lock, and pods that are real servers.

The storage is a directory, and a bucket of each protocol.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, ServingPlan, encode, pin_of
from ml_assets.state.engine import database_url
from ml_assets.state.locks import LockError, advisory_lock
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError
from ml_assets.targets.kubernetes import ANNOTATION, KubernetesTarget
from ml_assets_tests.kits.buckets import copy_into
from ml_assets_tests.kits.kubernetes_api import KubernetesApi
from ml_assets_tests.kits.kubernetes_controller import Pod
from ml_assets_tests.kits.kubernetes_site import (
    NAME,
    a,
    api,
    b,
    serving,
    storage,
    target,
    tried,
)
from ml_assets_tests.kits.plans import apply
from ml_assets_tests.kits.postgres import postgres
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan, rows

__all__ = ["a", "api", "b", "postgres", "storage", "target"]

# A deployer in a process of its own: it takes the lock and applies one plan.
DEPLOYER = """
import sys
from pathlib import Path
import msgspec
from ml_assets.records.plan import ServingPlan
from ml_assets.targets import configured_target
from ml_assets_tests.kits.plans import apply
plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ServingPlan)
chosen = configured_target()
with chosen.lock(plan.model):
    apply(chosen, plan)
"""


@pytest.fixture
def url(installation: str, storage: tuple[Path, Arm, Arm]) -> str:
    """A storage of each kind, with the bundles of two versions."""
    copy_into(installation, storage[0])
    return installation


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
def test_what_a_killed_deployer_began_is_completed_by_the_next(
    moment: str,
    api: KubernetesApi,
    target: KubernetesTarget,
    start: Callable[..., subprocess.Popen[bytes]],
    a: Arm,
    b: Arm,
) -> None:
    apply(target, plan(a, 1))
    first = plan(b, 2)
    pin = pin_of(first)
    moments: dict[str, Callable[[], object]] = {
        "staged": lambda: tried(target),
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
        if Plans().current("census") == plan(a, 1):
            apply(target, second)
    assert Plans().current("census") in (first, second)
    current = Plans().current("census")
    assert current is not None
    await_true(lambda: serving(api) == {pin_of(current)}, "the pods serve it")
    assert tried(target) == []
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
    apply(target, plan(a, 1))
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
    assert Plans().history("census") == [plan(a, 1), winner]
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
    before = Plans().current("census")
    wanted = plan(a, before.generation + 1 if before else 1)
    with target.lock("census"):
        admin = psycopg2.connect(url)
        admin.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory'"
        )
        admin.close()
        with pytest.raises(RolloutError, match="the lock .* is lost"):
            apply(target, wanted)
    assert Plans().current("census") == before
    assert not api.patches


@pytest.mark.slow
def test_the_database_of_the_dagster_instance_is_found(
    postgres: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert database_url() == f"sqlite:///{home / 'state.db'}"
    # The plain scheme means psycopg 3 to SQLAlchemy.
    url = f"postgresql+psycopg2://ann:p%40ss%2Fword@{postgres}"
    storage = {"postgres": {"postgres_url": url}}
    (home / "dagster.yaml").write_text(json.dumps({"storage": storage}))
    assert database_url() == url


# Pods that are real model servers


@pytest.mark.slow
def test_real_servers_are_pinned_to_their_generation_and_refuse_by_name(
    api: KubernetesApi,
    target: KubernetesTarget,
    url: str,
    tmp_path: Path,
    a: Arm,
    b: Arm,
) -> None:
    servers: dict[str, Server] = {}

    def judge(pod: Pod) -> str | None:
        if pod.name not in servers:
            pin = pod.annotations.get(ANNOTATION, "")
            # Each pod has a disk of its own.
            disk = tmp_path / "disks" / pod.name
            disk.mkdir(parents=True)
            options = ("--model", "census", f"--generation={pin}")
            servers[pod.name] = Server(disk, *options, storage=url)
        status, body = servers[pod.name].get("/v2/health/ready")
        return None if status == 200 else f"readiness: {status} {body.decode()}"

    api.judge = judge
    api.log = lambda pod: [
        *map(json.dumps, [*servers[pod.name].seen, *servers[pod.name].lines.queue])
    ]
    api.stop = lambda pod: servers.pop(pod.name).__exit__()
    api.edit(NAME, lambda found: found["spec"].update(progressDeadlineSeconds=60))
    try:
        apply(target, plan(a, 1))
        apply(target, plan(b, 2))
        for server in list(servers.values()):
            assert server.predict(rows(3))["version"] == "b"
        # The preflight in the deployer's process passes, and then the file changes.
        broken = plan(a, 3)
        files, name = Storage(url), "bundles/a/runtime.npz"
        whole = files.get(name)
        assert whole is not None
        api.before_patch = lambda *_: files.put(name, b"x" + whole[1:])
        with pytest.raises(RolloutError, match="refused the plan: .*runtime.npz"):
            apply(target, broken)
        files.put(name, whole)
        assert serving(api) == {pin_of(plan(b, 2))}
        for server in list(servers.values()):
            assert server.predict(rows(3))["version"] == "b"
    finally:
        with api.changed:
            # The controller asks no server that is about to end.
            api.judge = lambda pod: None
        for server in servers.values():
            server.__exit__()
