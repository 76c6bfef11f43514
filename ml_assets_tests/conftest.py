"""What tests share: an isolated home, a small model, and runs of its jobs."""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from _pytest.doctest import DoctestModule
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from ml_assets_tests.kits.buckets import any_storage, azure_server, s3_server
from ml_assets_tests.kits.databases import database, installation
from ml_assets_tests.kits.outages import outage
from ml_assets_tests.kits.postgres import postgres
from ml_assets_tests.kits.user_package import user_package

# Fixtures that tests of several packages ask for.
__all__ = [
    "any_storage",
    "azure_server",
    "database",
    "installation",
    "outage",
    "postgres",
    "s3_server",
    "user_package",
]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# A shell has what it runs in the background ignore SIGINT, and so does all that is
# started there; what the tests start is to end by it, however they were run.
signal.signal(signal.SIGINT, signal.default_int_handler)

OURS = (
    *("ML_ASSETS_", "MLFLOW_", "DAGSTER_", "KAGGLE_", "SLACK_", "K8S_"),
    *("RAY_", "OTEL_"),
)
# What tells the tests themselves where something is.
KEPT = ("ML_ASSETS_TEST_DATA", "ML_ASSETS_E2E_")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what the modules of tests import to no later garbage collection."""
    gc.disable()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Its import takes the longer the more there is: it goes through all modules.
        import skops.io  # noqa: F401
    yield
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Collect garbage once; pytest goes through all that is left five times."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Iterator[None]:
    """Without the doctests of a module that has none: it would be searched for them."""
    collectors = yield
    if ">>> " in file_path.read_text(errors="replace"):
        return collectors
    return [found for found in collectors if not isinstance(found, DoctestModule)]


@pytest.fixture(autouse=True)
def home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty home directory; nothing of the caller's environment leaks in."""
    for name in list(os.environ):
        if name.startswith(OURS) and not name.startswith(KEPT):
            monkeypatch.delenv(name)
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ML_ASSETS_HOME", str(directory))
    return directory


@pytest.fixture(autouse=True)
def load_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test loads definitions for a run because one before it did."""
    monkeypatch.setattr(DefinitionsLoadContext, "_instance", None)


@pytest.fixture(scope="session", autouse=True)
def alembic_scripts() -> Iterator[None]:
    """Alembic reads the revisions of a schema once, and not again for each database."""
    known: dict[tuple[str | None, ...], ScriptDirectory] = {}
    read = ScriptDirectory.from_config

    def from_config(config: Config) -> ScriptDirectory:
        options = ("script_location", "version_locations")
        key = tuple(config.get_main_option(name) for name in options)
        if key not in known:
            known[key] = read(config)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def make_spec() -> Callable[..., Any]:
    """Builds a small model on synthetic rows; keywords replace what its YAML says."""

    def make(**overrides: Any) -> Any:
        from ml_assets.components import TabularClassifier

        given: dict[str, Any] = {
            "name": "churn",
            "source": {"type": "synthetic", "rows": 600},
            "target": "churned",
            "positive": "yes",
            "estimator": {"params": {"max_iter": 20}},
        }
        return TabularClassifier.model_validate(given | overrides)

    return make


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database; making one takes seconds, copying it none."""
    from ml_assets.core.files import locked
    from ml_assets.state.registry import Registry

    directory = tmp_path_factory.getbasetemp() / "registry"
    if "PYTEST_XDIST_WORKER" in os.environ:
        # One for all workers, whose directories are beside each other.
        directory = directory.parents[1] / "registry"
    with locked(directory / ".lock"), pytest.MonkeyPatch.context() as patch:
        if not (directory / ".made").exists():
            patch.setenv("ML_ASSETS_HOME", str(directory))
            assert Registry().client
            (directory / ".made").touch()
    return directory / "mlflow.db"


@pytest.fixture
def registry(empty_registry: Path, home: Path) -> Path:
    """The home's MLflow database, without a model."""
    return shutil.copy(empty_registry, home / "mlflow.db")


@pytest.fixture
def run_job(
    instance: dg.DagsterInstance, registry: Path
) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs a job of a model in this process; failures are returned, not raised."""

    def run(
        spec: Any, job: str, config: dict[str, Any] | None = None, **tags: str
    ) -> dg.ExecuteInProcessResult:
        definitions = definitions_of(spec)
        return definitions.resolve_job_def(f"{spec.name}_{job}").execute_in_process(
            instance=instance,
            run_config={"ops": config or {}},
            raise_on_error=False,
            tags=tags,
        )

    return run


def another(spec: Any) -> Any:
    """The model with one iteration more for each version that there is.

    What answers as the champion does is never deployed, however often it is trained.
    """
    from ml_assets.state.versions import Versions

    count = len(Versions().names(spec.name))
    params = spec.estimator.params
    params = {**params, "max_iter": params["max_iter"] + count}
    estimator = spec.estimator.model_copy(update={"params": params})
    gate = spec.gate.model_copy(update={"beat_champion": False})
    return spec.model_copy(update={"estimator": estimator, "gate": gate})


def definitions_of(*specs: Any) -> dg.Definitions:
    """The code location as if its YAML files were `specs`."""
    from ml_assets.components.stages import definitions_of as models_of

    return models_of(specs)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """The message of the step that failed, with its causes."""
    texts = []
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None:
            texts.append(error.message)
            error = error.cause
    return "\n".join(texts)
