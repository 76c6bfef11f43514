"""The model registry: MLflow, seen from nowhere else.

By default its database and artifacts are files under the home directory and no server
runs; ``MLFLOW_TRACKING_URI`` names another one.
"""

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ml_assets.core.files import TEMPORARY, home, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)

# A dead server is retried by Dagster's policy, not for minutes inside the client.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}

# What a process needs that loads a version with scikit-learn.
SERVING = ("scikit-learn", "skops", "numpy", "pandas")


class RegistryError(RuntimeError):
    """The registry cannot be reached, or refused."""


class Registered(NamedTuple):
    """A version as the registry has it: address, run and number."""

    uri: str
    run_id: str
    version: str


def tracking_uri() -> str:
    """Address of the registry."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


@functools.cache
def _client(uri: str, lock: Path) -> "MlflowClient":
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # Two processes that create the tables of a new SQLite file at once both fail.
    with locked(lock):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


class Registry:
    """Registers and fetches versions, and sets their aliases."""

    @property
    def client(self) -> "MlflowClient":
        """The MLflow client of the current environment."""
        from mlflow.exceptions import MlflowException

        from ml_assets.ml.sources.environment import hide_password

        try:
            return _client(tracking_uri(), home() / ".mlflow.lock")
        except MlflowException as error:
            # MLflow repeats the address, and an address may hold a password.
            fault = hide_password(str(error))
        other = f"is of another MLflow than {version('mlflow')}, which runs here"
        found = other if "database schema" in fault else "cannot be reached"
        raise RegistryError(
            f"the model registry at {hide_password(tracking_uri())} {found}: {fault};"
            " check MLFLOW_TRACKING_URI, or run `ml-assets doctor`"
        )

    def save_model(
        self, pipeline: Any, directory: Path, trusted: list[str], needed: list[str]
    ) -> None:
        """Write `pipeline` as an MLflow model in skops format, into a new directory.

        Its requirements are the installed distributions `needed`.
        """
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            pipeline,
            str(directory),
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=trusted,
            # Named, because MLflow's own inference starts a process and imports all.
            pip_requirements=[f"{name}=={version(name)}" for name in needed],
        )

    def register(
        self,
        model: str,
        directory: Path,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> Registered:
        """Track a run with `tags` and `params`; register the bundle in `directory`."""
        client = self.client
        experiment = self.experiment(model)
        run = client.create_run(experiment, run_name=tags["version"], tags=dict(tags))
        run_id = run.info.run_id
        for name, value in params.items():
            client.log_param(run_id, name, value)
        logged = client.create_logged_model(
            experiment, name=model, source_run_id=run_id, model_type="sklearn"
        )
        client.log_model_artifacts(logged.model_id, str(directory))
        client.finalize_logged_model(logged.model_id, "READY")
        self._ensure_registered_model(model)
        created = client.create_model_version(
            model,
            source=logged.artifact_location,
            run_id=run_id,
            model_id=logged.model_id,
            tags=dict(tags),
        )
        client.set_terminated(run_id)
        return Registered(logged.artifact_location, run_id, str(created.version))

    def fetch(self, uri: str, directory: Path) -> None:
        """Download the bundle at `uri` into the new directory `directory`."""
        self.client  # noqa: B018 - sets the environment and reaches the store first
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=directory.parent, prefix=TEMPORARY
        ) as scratch:
            try:
                # MLflow adds a directory of its own naming.
                found = download_artifacts(
                    artifact_uri=uri, dst_path=scratch, tracking_uri=tracking_uri()
                )
            except (MlflowException, OSError) as error:
                raise RegistryError(
                    f"cannot fetch {uri} from the registry: {error}"
                ) from error
            os.rename(found, directory)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add the figures of an evaluation to the version's run."""
        for name, value in metrics.items():
            self.client.log_metric(run_id, name, value)

    def set_aliases(self, model: str, aliases: Mapping[str, str]) -> list[str]:
        """Point our aliases at the registry's numbers given; remove those not given.

        Returns
        -------
        list of str
            Aliases whose version is no longer in the registry; they point at nothing.

        Raises
        ------
        RegistryError
            Naming each alias that could not be set; the others were.
        """
        from mlflow.exceptions import MlflowException

        client = self.client
        gone, faults = [], []
        for alias in ALIASES:
            try:
                if alias in aliases and _has(client, model, aliases[alias]):
                    client.set_registered_model_alias(model, alias, aliases[alias])
                    continue
                client.delete_registered_model_alias(model, alias)
                gone += [alias] if alias in aliases else []
            except MlflowException as error:
                faults.append(f"{alias}: {error}")
        if faults:
            raise RegistryError(
                f"aliases of {model} were not set in the registry: {'; '.join(faults)}"
            )
        return gone

    def remove(self, model: str, number: str, uri: str) -> None:
        """Delete a version, and its files where they are below our home directory."""
        client = self.client
        with _refused(f"version {number} of {model} was not deleted"):
            if _has(client, model, number):
                client.delete_model_version(model, number)
        _remove_files(uri)

    def discard(self, model: str, version: str) -> None:
        """Delete whatever a training that died left of `version`: it has no record."""
        client = self.client
        tagged = f"tags.version = '{version}'"
        with _refused(f"what was left of version {version} of {model} was not deleted"):
            for found in client.search_model_versions(f"name = '{model}' and {tagged}"):
                client.delete_model_version(model, str(found.version))
            experiment = client.get_experiment_by_name(model)
            ids = [experiment.experiment_id] if experiment is not None else []
            runs = client.search_runs(ids, tagged) if ids else []
            for run in runs:
                made_by = f"source_run_id = '{run.info.run_id}'"
                for logged in client.search_logged_models(ids, made_by):
                    _remove_files(logged.artifact_location)
                    client.delete_logged_model(logged.model_id)
                # Last: what it made is found through it.
                client.delete_run(run.info.run_id)

    def aliases(self, model: str) -> dict[str, str]:
        """Alias to registry number, as the registry has them now."""
        client = self.client
        with _refused(f"aliases of {model} cannot be read from the registry"):
            found = client.get_registered_model(model).aliases
        return {str(alias): str(number) for alias, number in found.items()}

    def experiment(self, model: str) -> str:
        """The id of the experiment of `model`, made or restored where needed."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(model)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                # MLflow keeps the name of what was deleted, and takes no run for it.
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        location = None
        if tracking_uri().startswith("sqlite:"):
            location = (home() / "mlartifacts" / model).as_uri()
        try:
            return str(self.client.create_experiment(model, artifact_location=location))
        except MlflowException:
            # Another training of the model created it meanwhile.
            again = self.client.get_experiment_by_name(model)
            if again is None:
                raise
            return str(again.experiment_id)

    def deleted_experiments(self) -> list[str]:
        """Names of experiments that somebody deleted, which MLflow keeps."""
        from mlflow.entities import ViewType

        found = self.client.search_experiments(ViewType.DELETED_ONLY)
        return sorted(str(experiment.name) for experiment in found)

    def _ensure_registered_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextlib.contextmanager
def _refused(what: str) -> Iterator[None]:
    """Raise MLflow's errors as a `RegistryError` that begins with `what`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"{what}: {error}") from error


def _remove_files(uri: str) -> None:
    """Remove a bundle's files where they are below our home directory."""
    path = Path(unquote(urlsplit(uri).path))
    if uri.startswith("file:") and path.is_relative_to(home() / "mlartifacts"):
        shutil.rmtree(path, ignore_errors=True)


def _has(client: "MlflowClient", model: str, number: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True
