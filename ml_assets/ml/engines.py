"""Where the candidates of a search are fitted: on this machine, or on a Ray cluster.

Either way each candidate is fitted by one thread in a process of its own, so that both
engines find the same scores, bit for bit.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import joblib

from ml_assets.spec.model import Engine


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
        # Ray costs a second to import, and is an optional dependency.
        from ml_assets.ml.ray_engine import ray_workers

        with ray_workers() as count:
            yield Workers("ray", count)
        return
    # As many as this process may use: a container's quota counts.
    count = joblib.cpu_count()
    with joblib.parallel_config("loky", n_jobs=count, inner_max_num_threads=1):
        yield Workers("local", count)
