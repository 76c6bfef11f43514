"""Makes a served model of a plan: fetches the bundles of its arms, and loads them."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from ml_assets.core.storage import Storage
from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.serving.library.divided import DividedRuntime
from ml_assets.serving.library.fair_queue import Flow
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.library.remote import LibraryRuntime
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.models import bundle_cache
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.bundle import (
    LibraryLoader,
    load_library,
    load_probe,
    load_runtime,
)
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.probe import Speed, speed_of
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.runtime.protocol import Runtime

# A compiled version computes no longer in this process, beside the event loop.
_HERE_SECONDS = 0.002


class ModelLoading:
    """Loads plans from `storage`, by the cache of this machine.

    Parameters
    ----------
    storage
        Where bundles are fetched.
    ids
        The ids of predictions.
    max_rows
        Most rows of a request.
    logs
        Where predictions are kept; None keeps none.
    shadows
        Where batches wait for shadow arms; None where there are none.
    library
        Processes that answer for versions that are not compiled, and long requests of
        those that are; None for this one.
    """

    def __init__(
        self,
        storage: Storage,
        ids: PredictionIds,
        max_rows: int,
        logs: LogKeeper | None = None,
        shadows: ShadowQueue | None = None,
        library: LibraryPool | None = None,
    ) -> None:
        self._storage = storage
        self._ids = ids
        self._max_rows = max_rows
        self._logs = logs
        self._shadows = shadows
        self._library = library

    def fetch(self, plan: ServingPlan) -> list[Path]:
        """Directories of the bundles of the plan's arms.

        Raises
        ------
        BundleError
            If a file is missing, or not of its digest.
        StorageUnavailableError
            If one is not on this machine and the storage does not answer.
        """
        return [bundle_cache.fetch(self._storage, arm) for arm in plan.arms]

    def load(self, plan: ServingPlan, bundles: Iterable[Path]) -> ServedModel:
        """The plan in memory, each arm verified.

        Raises
        ------
        BundleError
            If an arm must not serve.
        ValueError
            If an arm cannot take the requests of the live one.
        """

        def served(arm: Arm, directory: Path) -> ServedArm:
            runtime = load_runtime(directory, arm.files, self._loader(plan, arm))
            speed = None
            if runtime.kind == "compiled":
                speed = speed_of(runtime, load_probe(directory, arm.files))
                runtime = self._divided(plan, arm, directory, runtime, speed)
            return ServedArm(plan.model, arm, runtime, self._max_rows, self._ids, speed)

        arms = [*map(served, plan.arms, bundles)]
        if self._logs is None:
            return ServedModel(plan, arms)
        recorder = Recorder(self._logs.log_of(plan.model))
        return ServedModel(plan, arms, recorder, self._shadows)

    def release(self, plan: ServingPlan, loaded: Sequence[ServedModel]) -> None:
        """Give back the bundles of a plan that none of what is `loaded` has."""
        used = {arm.bundle for model in loaded for arm in model.plan.arms}
        for arm in plan.arms:
            if arm.bundle not in used:
                bundle_cache.release(arm)
        if self._library is not None:
            arms = (arm for model in loaded for arm in model.plan.arms)
            self._library.retain({str(bundle_cache.directory_of(arm)) for arm in arms})

    def _divided(
        self,
        plan: ServingPlan,
        arm: Arm,
        directory: Path,
        runtime: Runtime,
        speed: Speed,
    ) -> Runtime:
        """A compiled version, whose long requests are answered in processes."""
        rows = speed.rows_within(_HERE_SECONDS)
        if self._library is None or rows >= self._max_rows:
            return runtime
        flow = _flow(plan, arm)
        remote = partial(LibraryRuntime, self._library, flow, directory, arm.files)
        here_bytes = speed.bytes_of(max(rows, 1))
        return DividedRuntime(runtime, rows, here_bytes, remote)

    def _loader(self, plan: ServingPlan, arm: Arm) -> LibraryLoader:
        """Loads what is not compiled."""
        if self._library is None:
            return load_library
        return partial(LibraryRuntime, self._library, _flow(plan, arm))


def _flow(plan: ServingPlan, arm: Arm) -> Flow:
    return Flow(plan.model, arm.mode == "shadow")
