"""The image of a project of `ml-assets init`, built with the wheel and run."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ml_assets.cli.init.project import MODEL, create
from ml_assets_tests.kits.docker import (
    docker,
    missing_engine,
    run_once,
    running,
    volume,
)
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.wheel import predicted, wheel

__all__ = ["wheel"]
pytestmark = pytest.mark.slow
TAG = "ml-assets-test:init"
STORAGE = "/var/lib/ml-assets"


@pytest.fixture(scope="module")
def page(wheel: Path) -> Iterator[str]:
    """A page of this machine that has the wheel."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(wheel.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def image(page: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    if reason := missing_engine():
        pytest.skip(f"building images needs Docker: {reason}")
    root = tmp_path_factory.mktemp("made") / "churn-models"
    create(root)
    base = os.environ.get("PYTHON_IMAGE")
    arguments = ["--build-arg", f"PIP_FIND_LINKS={page}"]
    arguments += ["--build-arg", f"PYTHON_IMAGE={base}"] if base else []
    docker(*("build", "--network=host", "-t", TAG, *arguments, str(root)), timeout=1800)
    return TAG


def test_it_is_the_code_location(image: str) -> None:
    with running(image) as container:
        container.await_health("healthy")
        assert "churn_models.definitions" in container.logs()
        assert "localhost" in container.run("nslookup", "localhost")


def test_it_trains_deploys_and_serves(image: str) -> None:
    with volume() as name:
        options = [f"--volume={name}:{STORAGE}"]
        for step in ("train", "deploy"):
            run_once(image, "ml-assets", step, MODEL, options=options)
        command = ("ml-assets", "serve", "--host", "0.0.0.0")  # nosec B104
        published = [*options, "--publish=127.0.0.1::8080"]
        with running(image, *command, options=published) as container:
            address = container.address(8080)
            answer = await_true(lambda: predicted(address, MODEL), "it answers")
    assert answer["version"]
