"""Where the candidates of a search are fitted, and the error where none can be."""

import os
import socket
import sys

import pytest
from threadpoolctl import threadpool_info

from ml_assets.ml import engines
from ml_assets.ml.engines import EngineError, workers
from ml_assets_tests.kits.ray import free_port

ADDRESS = "RAY_ADDRESS"


def _threads(_):
    import sklearn.ensemble  # noqa: F401 - its OpenMP is what is counted

    return os.getpid(), {pool["num_threads"] for pool in threadpool_info()}


def test_local_candidates_are_fitted_by_one_thread_in_processes_of_their_own(
    monkeypatch,
):
    import joblib

    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    with workers("local") as found:
        seen = joblib.Parallel()(joblib.delayed(_threads)(n) for n in range(4))

    assert found.count == 2
    assert os.getpid() not in {process for process, _ in seen}
    assert {count for _, counts in seen for count in counts} == {1}


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(EngineError, match=r"not installed.*ml-assets\[ray\].*local"):
        with workers("ray"):
            pass


@pytest.mark.parametrize(
    "address", ["head", "ray://head", "http://head:10001", "ray://head:port", "auto"]
)
def test_an_address_that_is_none_is_an_error(monkeypatch, address):
    monkeypatch.setenv(ADDRESS, address)

    with pytest.raises(EngineError, match=f"HOST:PORT, found '{address}'"):
        with workers("ray"):
            pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_where_nobody_listens_is_an_error(monkeypatch, scheme):
    address = f"{scheme}127.0.0.1:{free_port()}"
    monkeypatch.setenv(ADDRESS, address)

    with pytest.raises(EngineError, match=f"{address} .RAY_ADDRESS.*refused"):
        with workers("ray"):
            pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_server_that_is_no_ray_does_not_hold_a_run_up(monkeypatch, scheme):
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv(ADDRESS, address)

        with pytest.raises(EngineError, match="does not answer as Ray"):
            with workers("ray"):
                pass
