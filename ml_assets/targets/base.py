"""What targets share: plans, the lock of deployers, and the preflight of a version."""

import contextlib
import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
from collections.abc import Iterator

from ml_assets.core.digests import BundleError
from ml_assets.core.storage import StorageUnavailableError, storage
from ml_assets.records.plan import Arm, ServingPlan, encode
from ml_assets.serving.models.bundle_cache import fetch, release
from ml_assets.serving.models.preflight import UNREACHABLE
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.state.locks import LockCheck, LockError, deployer_lock
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, UnreachableError


class BaseTarget:
    """A target whose servers read plans from the storage.

    `timeout` bounds, in seconds, the wait for servers to load a plan.
    """

    def __init__(self, timeout: float) -> None:
        self.published = PublishedPlans(storage())
        self.timeout = timeout
        self._held: dict[str, LockCheck] = {}

    @contextlib.contextmanager
    def lock(self, model: str) -> Iterator[None]:
        """A lock for whoever decides on and applies a plan of `model`.

        It is a lock in the database where that is Postgres, else a file lock.
        """
        try:
            with deployer_lock(model) as held:
                self._held[model] = held
                yield
        except LockError as error:
            raise UnreachableError(str(error)) from error
        finally:
            self._held.pop(model, None)

    def unpin(self, plan: ServingPlan) -> None:
        """Drop a plan that was tried in vain."""
        # Another deployer may have been first, with the same one.
        if Plans().current(plan.model) != plan:
            self.published.unpin(plan)

    def unpin_others(self, plan: ServingPlan) -> None:
        """Drop what deployers that died have tried for the generation of `plan`."""
        for other in self.published.of_generation(plan.model, plan.generation):
            if other != plan:
                self.published.unpin(other)

    def check_held(self, model: str) -> None:
        """Raise `LockError` if the lock in the database is lost."""
        held = self._held.get(model)
        if held is not None:
            held()


def preflight(arm: Arm, timeout: float) -> None:
    """Load the arm and score its probe rows in a process of its own.

    So a version that crashes crashes no server.

    Raises
    ------
    RolloutError
        If it does not load within `timeout` seconds, crashes, or answers otherwise
        than at training.
    UnreachableError
        If the storage does not answer.
    """
    # Here, so that a storage that hangs does not count as a version that does. Servers
    # of this machine find it there as well.
    try:
        fetch(storage(), arm)
    except StorageUnavailableError as error:
        raise UnreachableError(
            f"version {arm.version} was not fetched: {error}"
        ) from error
    except BundleError as error:
        raise RolloutError(f"version {arm.version} was refused: {error}") from error
    try:
        _load_apart(arm, timeout)
    finally:
        release(arm)


def _load_apart(arm: Arm, timeout: float) -> None:
    module = "ml_assets.serving.models.preflight"
    try:
        done = subprocess.run(  # nosec B603 # fixed arguments
            [sys.executable, "-m", module, storage().url],
            input=encode(arm),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RolloutError(
            f"version {arm.version} did not load within {timeout:g} s"
        ) from None
    if done.returncode < 0:
        raise RolloutError(
            f"version {arm.version} crashed while loading (signal {-done.returncode})"
        )
    if done.returncode:
        # Above the reason is what it logged.
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        if done.returncode == UNREACHABLE:
            raise UnreachableError(f"version {arm.version} was not fetched: {reason}")
        raise RolloutError(f"version {arm.version} was refused: {reason}")
