"""Where the candidates of a search are fitted: on this machine, or on a Ray cluster.

Either way each candidate is fitted by one thread in a process of its own, so that both
engines find the same scores, bit for bit. The cluster is the one that ``RAY_ADDRESS``
names, or one started for the search.
"""

import contextlib
import os
import platform
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import joblib

from ml_assets.spec.estimator import Engine

CONNECT_SECONDS = 10.0
# Another search may have the cluster; it gets its processors all at once or none.
WAIT_SECONDS = 3600.0
# Threads of a candidate, and no usage statistics to Ray's makers.
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0"}


class EngineError(RuntimeError):
    """An engine that is not installed, cannot be reached, or broke down."""


@dataclass(frozen=True)
class Workers:
    """What fitted the candidates: an engine, and how many of them at a time."""

    engine: Engine
    count: int


@contextlib.contextmanager
def workers(engine: Engine) -> Iterator[Workers]:
    """Make `engine` joblib's backend, and stop what was started for it at the end.

    Raises
    ------
    EngineError
        If Ray is not installed, its cluster cannot be reached or gives no processor, or
        it breaks down meanwhile.

    Examples
    --------
    >>> with workers("local") as found:
    ...     found.engine
    'local'
    """
    if engine == "ray":
        with _ray_workers() as count:
            yield Workers("ray", count)
        return
    # As many as this process may use: a container's quota counts.
    count = joblib.cpu_count()
    with joblib.parallel_config("loky", n_jobs=count, inner_max_num_threads=1):
        yield Workers("local", count)


@contextlib.contextmanager
def _ray_workers() -> Iterator[int]:
    """Make Ray joblib's backend; yields the number of its workers."""
    address = os.environ.get("RAY_ADDRESS", "")
    os.environ.update(ENVIRONMENT)
    if address:
        _check_address(address)
    else:
        # Its ports take nothing from other users of this machine; the token is passed
        # on by the environment, or else Ray would keep one in the home directory.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = _import_ray()
    name = f"the Ray cluster at {address}" if address else "the Ray of this run"
    faults: tuple[type[Exception], ...] = (ray.exceptions.RayError, ConnectionError)
    refusals: tuple[type[Exception], ...] = (*faults, RuntimeError, ValueError)
    with contextlib.ExitStack() as stack:
        try:
            count = stack.enter_context(_connected(ray, address))
            remote = stack.enter_context(_reserved(count, name))
        except EngineError:
            raise
        except refusals as error:
            raise EngineError(
                f"{name} cannot be used: {error}; its Ray, Python and token"
                f" (RAY_AUTH_TOKEN) must be those of this process: {_ours(ray)}"
            ) from error
        stack.enter_context(
            joblib.parallel_config("ray", n_jobs=count, ray_remote_args=remote)
        )
        try:
            yield count
        except ray.exceptions.RayTaskError:
            # What a candidate raised: it passes as with the local engine.
            raise
        except faults as error:
            raise EngineError(f"{name} broke down: {error}") from error


def _ours(ray: ModuleType) -> str:
    token = "a token" if os.environ.get("RAY_AUTH_TOKEN") else "no token"
    return f"Ray {ray.__version__}, Python {platform.python_version()}, {token}"


def _import_ray() -> ModuleType:
    """Ray, which costs a second to import, and is an optional dependency."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise EngineError(
            "search.engine is 'ray', which is not installed here: install the extra"
            " with `pip install ml-assets[ray]`, or use `engine: local`"
        ) from error
    register_ray()
    module: ModuleType = ray
    return module


def _check_address(address: str) -> None:
    """Ray itself tries for minutes, and then ends the process."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("", "ray") or host is None or port is None:
        raise EngineError(
            f"RAY_ADDRESS must be ray://HOST:PORT or HOST:PORT, found '{address}'"
        )
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
        _check_protocol(f"{host}:{port}")
    except OSError as error:
        raise EngineError(
            f"the Ray cluster at {address} (RAY_ADDRESS) cannot be reached within"
            f" {CONNECT_SECONDS:g} s: {error}; is its head running, and may this"
            " process talk to it?"
        ) from error


def _check_protocol(host: str) -> None:
    """Refuse a server that listens but is no Ray."""
    import grpc

    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return
    with grpc.insecure_channel(host) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            raise TimeoutError("who listens there does not answer as Ray") from None


@contextlib.contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[int]:
    """Connect to the cluster, or start one; yields the number of its processors."""
    with contextlib.ExitStack() as stack:
        given: dict[str, Any] = {"address": address}
        if not address:
            # Sockets have short paths only: the usual directory's may be too long.
            scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # nosec B108
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            given = {
                "address": "local",
                "num_cpus": joblib.cpu_count(),
                "include_dashboard": False,
                "_temp_dir": scratch,
            }
        stack.callback(_set_sigterm, signal.getsignal(signal.SIGTERM))
        stack.callback(ray.shutdown)
        _init(
            ray,
            **given,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
        )
        yield max(1, int(ray.cluster_resources().get("CPU", 0)))


@contextlib.contextmanager
def _reserved(count: int, name: str) -> Iterator[dict[str, Any]]:
    """Reserve all processors at once: two searches that have half each would hang."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group([{"CPU": 1}] * count, strategy="SPREAD")
    try:
        if not group.wait(WAIT_SECONDS):
            raise EngineError(
                f"{name} did not give {count} processors within {WAIT_SECONDS:g} s"
            )
        yield {
            "num_cpus": 1,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(group),
        }
    finally:
        remove_placement_group(group)


def _init(ray: ModuleType, **given: Any) -> None:
    """Ray sets its own handler of SIGTERM; whoever runs us may have set one before."""
    before = signal.getsignal(signal.SIGTERM)
    ray.init(**given)
    if callable(before):
        _set_sigterm(before)


def _set_sigterm(handler: Any) -> None:
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
