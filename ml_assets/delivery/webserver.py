"""A client of the Dagster webserver of an environment, through its GraphQL API."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests

TIMEOUT = (5.0, 60.0)
POLL_SECONDS = 1.0
GATEWAY = {502, 503, 504}

_LOCATION = """
query Location($name: String!) {
  workspaceLocationEntryOrError(name: $name) {
    __typename
    ... on PythonError { message }
    ... on WorkspaceLocationEntry {
      loadStatus
      displayMetadata { key value }
      locationOrLoadError {
        __typename
        ... on PythonError { message }
        ... on RepositoryLocation {
          repositories { name displayMetadata { key value } }
        }
      }
    }
  }
}
"""
_RELOAD = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { name }
    ... on PythonError { message }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
  }
}
"""
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on UnauthorizedError { message }
  }
}
"""
_FIND = """
query Find($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) {
    __typename
    ... on Runs { results { runId } }
    ... on PythonError { message }
    ... on InvalidPipelineRunsFilterError { message }
  }
}
"""
_RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status }
    ... on PythonError { message }
    ... on RunNotFoundError { message }
  }
  logsForRun(runId: $id) {
    __typename
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent { error { message } }
        ... on RunFailureEvent { message }
        ... on MaterializationEvent {
          metadataEntries { label ... on TextMetadataEntry { text } }
        }
        ... on AssetCheckEvaluationEvent {
          evaluation { checkName success description }
        }
      }
    }
  }
}
"""


class WebserverError(Exception):
    """The webserver cannot be reached, or refused."""


class UnreachableWebserverError(WebserverError):
    """It cannot be reached, or something between us and it is out of order."""


class CodeLocation(NamedTuple):
    """A code location: its image as its code server knows it, or the error."""

    image: str | None
    repository: str | None
    error: str | None


class FinishedRun(NamedTuple):
    """A run that is over: its status, error, texts of metadata, and checks."""

    run_id: str
    status: str
    error: str | None
    metadata: dict[str, str]
    checks: dict[str, tuple[bool, str]]


class Webserver:
    """The webserver at `url`; `location` is the name of our code location there."""

    def __init__(self, url: str, location: str) -> None:
        self.url = url
        self.location = location

    def reload(self) -> None:
        """Have the webserver load the code location again."""
        self._ask(_RELOAD, {"name": self.location}, "reloadRepositoryLocation")

    def code_location(self) -> CodeLocation:
        """The code location as it is loaded now."""
        found = self._ask(
            _LOCATION, {"name": self.location}, "workspaceLocationEntryOrError"
        )
        loaded = found["locationOrLoadError"]
        if loaded is None:
            return CodeLocation(None, None, f"it is {found['loadStatus'].lower()}")
        if loaded["__typename"] != "RepositoryLocation":
            return CodeLocation(
                None, None, loaded.get("message") or loaded["__typename"]
            )
        (repository,) = loaded["repositories"][:1] or [{"name": None}]
        shown = [*found["displayMetadata"], *repository.get("displayMetadata", [])]
        images = {item["key"]: item["value"] for item in shown}
        return CodeLocation(images.get("image"), repository["name"], None)

    def launch(self, job: str, repository: str, tags: Mapping[str, str]) -> str:
        """The run of `job` with these tags: the one that is there, else a new one."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        found = self._ask(_FIND, {"filter": {"tags": listed}}, "runsOrError")
        for item in found["results"]:
            return str(item["runId"])
        selector = {
            "repositoryLocationName": self.location,
            "repositoryName": repository,
            "jobName": job,
        }
        params = {"selector": selector, "executionMetadata": {"tags": listed}}
        launched = self._ask(_LAUNCH, {"params": params}, "launchRun")
        return str(launched["run"]["runId"])

    def await_run(self, run_id: str, patience: float) -> FinishedRun:
        """Wait for the end of a run.

        Raises
        ------
        WebserverError
            If it does not come within `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            data = self._post(_RUN, {"id": run_id})
            status = self._checked(data, "runOrError")["status"]
            if status in ("SUCCESS", "FAILURE", "CANCELED"):
                return _finished(run_id, status, data["logsForRun"].get("events", []))
            if time.monotonic() > deadline:
                raise WebserverError(
                    f"run {run_id} is {status.lower()} after {patience:g} s"
                )
            time.sleep(POLL_SECONDS)

    def _ask(self, query: str, variables: dict[str, Any], field: str) -> dict[str, Any]:
        return self._checked(self._post(query, variables), field)

    def _checked(self, data: dict[str, Any], field: str) -> dict[str, Any]:
        """The field, unless it is one of the errors that GraphQL returns as data."""
        found = data.get(field)
        if found is None:
            raise WebserverError(f"{self.url} has no {self.location}")
        name = found["__typename"]
        if name.endswith(("Error", "NotFound", "Invalid", "Conflict", "NotSupported")):
            errors = [item["message"] for item in found.get("errors", [])]
            reason = found.get("message") or "; ".join(errors) or name
            raise WebserverError(f"{self.url}: {reason}")
        return dict(found)

    def _post(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            response = requests.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                timeout=TIMEOUT,
            )
            answer = response.json()
        except requests.RequestException as error:
            raise UnreachableWebserverError(
                f"{self.url} cannot be asked: {type(error).__name__}"
            ) from error
        if response.status_code in GATEWAY:
            raise UnreachableWebserverError(
                f"{self.url} answered {response.status_code}"
            )
        # Where an error is part of the answer, the status is 500 and the answer whole.
        if answer.get("errors") or not isinstance(answer.get("data"), dict):
            errors = answer.get("errors") or []
            reason = "; ".join(str(item.get("message")) for item in errors)
            raise WebserverError(
                f"{self.url} answered {response.status_code}:"
                f" {reason or response.reason}"
            )
        return dict(answer["data"])


def _finished(run_id: str, status: str, events: list[dict[str, Any]]) -> FinishedRun:
    errors, metadata, checks = [], {}, {}
    for event in events:
        if event["__typename"] == "ExecutionStepFailureEvent" and event["error"]:
            errors.append(event["error"]["message"])
        elif event["__typename"] == "RunFailureEvent":
            errors.append(event["message"])
        elif event["__typename"] == "AssetCheckEvaluationEvent":
            found = event["evaluation"]
            checks[found["checkName"]] = (
                bool(found["success"]),
                found["description"] or "",
            )
        for entry in event.get("metadataEntries", []):
            if entry.get("text") is not None:
                metadata[entry["label"]] = entry["text"]
    return FinishedRun(run_id, status, errors[0] if errors else None, metadata, checks)
