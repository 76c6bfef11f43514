"""The Kubernetes API, asked through the official client while faults may pass.

The objects are the JSON of the API as dictionaries and not the client's models: a field
that is younger than the client would be missing from a model, and so from the patch
that is made of it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.retry import PassingFault, Retry
from ml_assets.core.transfer import retry_after
from ml_assets.targets.clusters.connection import ClusterError, Connection

if TYPE_CHECKING:
    from kubernetes.client import ApiException

Object = dict[str, Any]

# The server is busy, or something between us and it is: all of these pass.
PASSING = {429, 500, 502, 503, 504}
# A deadline ends it.
BACK_OFF = Retry(attempts=None, first=0.2, longest=5.0)
MERGE_PATCH = "application/merge-patch+json"
# Connecting is quick or it does not work at all.
CONNECT_SECONDS = 5.0


class ConflictError(ClusterError):
    """Somebody changed the object since it was read."""


def _object_of(answer: bytes) -> Object:
    found: Object = from_json(answer, Object)
    return found


def _text_of(answer: bytes) -> str:
    return answer.decode(errors="replace")


class Cluster:
    """Asks one namespace of a cluster.

    Parameters
    ----------
    connection : Connection
    patience : float, default=300.0
        How long, in seconds, a server that does not answer is asked again.
    seconds : float, default=15.0
        How long one answer may take.
    """

    def __init__(
        self, connection: Connection, patience: float = 300.0, seconds: float = 15.0
    ) -> None:
        from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api

        self.server, self.namespace = connection.server, connection.namespace
        self.patience, self.seconds = patience, seconds
        self.client = ApiClient(connection.configuration)
        self._apps, self._core = AppsV1Api(self.client), CoreV1Api(self.client)

    def deployment(self, name: str) -> Object:
        """The Deployment `name` as it is now."""
        found: Object = self.ask(
            f"read Deployment {self.namespace}/{name}",
            self._apps.read_namespaced_deployment,
            name=name,
        )
        return found

    def patch_deployment(
        self, name: str, patch: Mapping[str, Any], manager: str
    ) -> Object:
        """The Deployment after a JSON merge patch.

        What it changes belongs to the field manager `manager` from then on: who applies
        another value gets a conflict with that name. The patch should have the
        ``resourceVersion`` that it was made for: then it is safe to send it again when
        an answer was lost.

        Raises
        ------
        ConflictError
            If the Deployment has another ``resourceVersion`` by now.
        """
        found: Object = self.ask(
            f"patch Deployment {self.namespace}/{name}",
            self._apps.patch_namespaced_deployment,
            name=name,
            body=patch,
            field_manager=manager,
            _content_type=MERGE_PATCH,
        )
        return found

    def pods(self, labels: Mapping[str, str]) -> list[Object]:
        """The pods that have all of these labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found: list[Object] = self.ask(
            f"list pods of {self.namespace}",
            self._core.list_namespaced_pod,
            label_selector=selector,
        )["items"]
        return found

    def events(self, pod: str) -> list[Object]:
        """The events of a pod, oldest first."""
        found: list[Object] = self.ask(
            f"list events of pod {self.namespace}/{pod}",
            self._core.list_namespaced_event,
            field_selector=f"involvedObject.kind=Pod,involvedObject.name={pod}",
        )["items"]
        return found

    def log(self, pod: str, container: str, lines: int) -> str:
        """The last lines that a container has printed."""
        found: str = self.ask(
            f"read the log of pod {self.namespace}/{pod}",
            self._core.read_namespaced_pod_log,
            _text_of,
            name=pod,
            container=container,
            tail_lines=lines,
        )
        return found

    def watch_deployment(
        self, name: str, version: str, seconds: int
    ) -> Iterator[Object]:
        """Events of a Deployment after `version`, for so long; ends early when cut.

        Raises
        ------
        ClusterError
            If the server refuses to watch, with status 410 where it has forgotten the
            ``resourceVersion``.
        """
        from kubernetes.client import ApiException
        from kubernetes.config import ConfigException
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError

        what = f"watch Deployment {self.namespace}/{name}"
        try:
            events = Watch(return_type="object").stream(
                self._apps.list_namespaced_deployment,
                self.namespace,
                # The role allows it by name only to requests with this selector.
                field_selector=f"metadata.name={name}",
                resource_version=version,
                timeout_seconds=seconds,
                # The server ends it; a watch that it forgot ends a little later here.
                _request_timeout=(CONNECT_SECONDS, seconds + self.seconds),
            )
            # None stands for a line that is no JSON.
            yield from filter(None, events)
        except ApiException as error:
            raise self._refusal(what, error) from error
        except (LookupError, TypeError) as error:
            raise ClusterError(
                f"{self.server}: {what}: the event is none of the Kubernetes API:"
                f" {error!r}"
            ) from error
        except (HTTPError, OSError, ConfigException):
            return

    def ask(
        self,
        what: str,
        ask: Callable[..., Any],
        read: Callable[[bytes], Any] = _object_of,
        **options: Any,
    ) -> Any:
        """The answer to a call of the client, asked again while that can help.

        Parameters
        ----------
        what : str
            What is done, for errors.
        ask : callable
            A method of the client that acts in a namespace.
        read : callable
            Makes the answer of its bytes.
        **options
            Arguments of `ask`, without the namespace.
        """
        ends = time.monotonic() + self.patience
        try:
            return BACK_OFF.call(
                lambda: self._once(what, ask, read, options), deadline=ends
            )
        except PassingFault as fault:
            raise ClusterError(
                f"{self.server} did not serve us for {self.patience:g} s: {fault}",
                getattr(fault.__cause__, "status", None),
            ) from fault

    def _once(
        self,
        what: str,
        ask: Callable[..., Any],
        read: Callable[[bytes], Any],
        options: Mapping[str, Any],
    ) -> Any:
        from kubernetes.client import ApiException
        from kubernetes.config import ConfigException
        from urllib3.exceptions import HTTPError, MaxRetryError

        seconds = (min(CONNECT_SECONDS, self.seconds), self.seconds)
        try:
            answer = ask(
                namespace=self.namespace,
                **options,
                _preload_content=False,
                _request_timeout=seconds,
            ).data
        except ApiException as error:
            if error.status in PASSING:
                asked = retry_after((error.headers or {}).get("Retry-After"))
                raise PassingFault(_text(what, error), asked) from error
            raise self._refusal(what, error) from error
        except MaxRetryError as error:
            raise PassingFault(f"{what}: no answer: {error.reason}") from error
        except (HTTPError, OSError, ConfigException) as error:
            raise PassingFault(f"{what}: no answer: {error}") from error
        except ValueError:
            # Its message would show the token.
            raise ClusterError(
                f"{self.server}: {what}: the token is no header, expected one line"
            ) from None
        try:
            return read(answer)
        except msgspec.DecodeError as error:
            raise PassingFault(
                f"{what}: the answer is none of the Kubernetes API: {error}"
            ) from error

    def _refusal(self, what: str, error: "ApiException") -> ClusterError:
        kind = ConflictError if error.status == 409 else ClusterError
        return kind(f"{self.server}: {_text(what, error)}", error.status)


def _text(what: str, error: "ApiException") -> str:
    """The status and its reason, which the API gives in a `Status` object."""
    if error.status in range(300, 400):
        location = (error.headers or {}).get("Location")
        message = f"a redirect to {location}, expected an answer of the server itself"
    else:
        try:
            message = from_json(error.body, Object)["message"]
        except (msgspec.DecodeError, KeyError, TypeError):
            message = error.reason
    return f"{what}: {error.status}: {message}"
