"""A pool of one library process, and what it counts."""

from collections.abc import Iterator

import pytest

from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.metrics.collector import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def pool(metrics: Metrics) -> Iterator[LibraryPool]:
    """A single process, so that one which is lost is missed."""
    found = LibraryPool(1, 60.0, 2**31, metrics)
    yield found
    found.close()
