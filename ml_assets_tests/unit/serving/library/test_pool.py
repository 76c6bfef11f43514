"""Library processes that are borrowed and given back, whatever happens meanwhile."""

from pathlib import Path

import pytest

from ml_assets.serving.library import pool as library_pool
from ml_assets.serving.library.fair_queue import Flow
from ml_assets.serving.library.messages import Failed
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.metrics.collector import Metrics

FLOW = Flow("churn")


def test_a_request_that_cannot_be_sent_costs_no_process(
    pool: LibraryPool, metrics: Metrics, tmp_path: Path
) -> None:
    with pytest.raises(TypeError):
        pool.load(str(tmp_path), {"model": object()}, FLOW)  # type: ignore[dict-item]
    assert metrics.library_replaced == {"ended": 0, "failed": 1, "hung": 0}
    assert isinstance(pool.load(str(tmp_path), {"model": "0"}, FLOW), Failed)


def test_a_process_that_does_not_start_holds_up_nobody(
    pool: LibraryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no process is left")

    with monkeypatch.context() as patch:
        patch.setattr(library_pool, "ChildProcess", full)
        with pytest.raises(OSError, match="no process is left"):
            pool.load(str(tmp_path), {}, Flow("other"))
    assert isinstance(pool.load(str(tmp_path), {"model": "0"}, FLOW), Failed)
