"""What a server serves at one moment, as one immutable value that is swapped whole."""

import copy
from collections.abc import Callable, Mapping

import ml_assets
from ml_assets.serving.http.routes import (
    MLFLOW_MEDIA,
    Route,
    invocations_route,
    model_routes,
)
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.metrics.collector import Metrics, Series
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.openapi import docs_page
from ml_assets.serving.openapi import document as openapi
from ml_assets.serving.openapi.description import describe
from ml_assets.serving.protocols import feedback, lookup
from ml_assets.serving.protocols import open_inference as v2
from ml_assets.serving.requests.messages import (
    Handler,
    Request,
    Response,
    json_response,
)
from ml_assets.serving.requests.problems import Problem, forbidden

PREDICTIONS = "/predictions/"
# As text, which is how MLflow gives it.
_VERSION = Response(
    ml_assets.__version__.encode(), content_type=b"text/plain; charset=utf-8"
)


class ServedState:
    """The models that are served, and the routes to them.

    Parameters
    ----------
    models
        The models in memory, by name.
    missing
        Models that have a plan which could not be loaded.
    scanned
        Whether the plans were read since the start.
    metrics
        Count what is answered.
    logs
        The prediction log of each model; None where nothing is kept.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        missing: frozenset[str],
        scanned: bool,
        metrics: Metrics,
        logs: LogKeeper | None = None,
    ) -> None:
        self._metrics = metrics
        self._logs = logs
        self.retired: frozenset[str] = frozenset()
        self.models: dict[str, ServedModel] = {}
        self.routes: dict[str, Route] = {}
        self.fast_routes: dict[bytes, Route] = {}
        self._invocations: dict[str, Route] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        for _, model in sorted(models.items()):
            self._add(model)
        self._complete(missing, scanned)

    def updated(
        self, missing: frozenset[str], model: ServedModel | None = None
    ) -> "ServedState":
        """This state after a reading, with `model` in place of the one of its name.

        The routes of the other models are those of this state.
        """
        found = copy.copy(self)
        found.models = self.models.copy()
        found.routes = self.routes.copy()
        found.fast_routes = self.fast_routes.copy()
        found._invocations = self._invocations.copy()
        found._paths = self._paths.copy()
        if model is not None:
            is_new = model.name not in found.models
            found._add(model)
            if is_new:
                found.models = dict(sorted(found.models.items()))
        found._complete(missing, True)
        return found

    def after_retirement(self, retired: frozenset[str]) -> "ServedState":
        """This state without the models in `retired`, whose requests get 404."""
        models = {
            name: model for name, model in self.models.items() if name not in retired
        }
        missing = self.missing - retired
        found = ServedState(models, missing, self.is_scanned, self._metrics, self._logs)
        found.retired = retired
        return found

    def limited(self, sees: Callable[[str], bool]) -> "ServedState":
        """This state for somebody who sees some of its models, by their names."""
        if all(map(sees, (*self.models, *self.missing))):
            return self
        models = {name: model for name, model in self.models.items() if sees(name)}
        missing = frozenset(filter(sees, self.missing))
        found = ServedState(models, missing, self.is_scanned, self._metrics, self._logs)
        found.retired = frozenset(filter(sees, self.retired))
        return found

    def _add(self, model: ServedModel) -> None:
        """Make the routes of one model."""
        self.models[model.name] = model
        for path in self._paths.get(model.name, ()):
            # A version that the new plan does not have is served no more.
            self.routes.pop(path)
            self.fast_routes.pop(path.encode(), None)
        routes = model_routes(self._metrics, model)
        self._paths[model.name] = tuple(routes)
        self.routes |= routes
        self._invocations[model.name] = invocations_route(self._metrics, model)
        # Predictions of compiled versions, by the address that a request gives.
        for path, route in routes.items():
            if route.method == "POST":
                if model.inline_rows:
                    self.fast_routes[path.encode()] = route

    def _complete(self, missing: frozenset[str], scanned: bool) -> None:
        """Make the routes that are of no model, or of whichever is the only one."""
        self.missing = missing
        self.is_scanned = scanned
        self.is_ready = scanned and bool(self.models) and not missing
        self.routes |= self._static_routes()
        # For counting only: every request is answered by a route of one model.
        self.routes["/invocations"] = Route(
            "POST", _unreachable, self._series("invocations"), accepts=MLFLOW_MEDIA
        )
        self.routes["/feedback"] = Route(
            "POST", self._feedback, self._series("feedback"), uses_files=True
        )
        # One address for each prediction: the path ends in the id.
        self.prediction = Route(
            "GET", self._prediction, self._series("prediction"), uses_files=True
        )
        self.fast_routes.pop(b"/invocations", None)
        if len(self._invocations) == 1:
            route = next(iter(self._invocations.values()))
            if route.model is not None and route.model.inline_rows:
                self.fast_routes[b"/invocations"] = route
        self._documents: dict[str, Response] = {}

    def invocations(self, query_model: str | None) -> Route:
        """The route of ``/invocations`` for the model that the request names."""
        if query_model is not None:
            self.require(query_model)
            return self._invocations[query_model]
        if len(self._invocations) == 1:
            return next(iter(self._invocations.values()))
        if not self.models:
            raise self.no_plan("no model has a version loaded")
        detail = (
            "several models are served: name one with ?model= or the header X-Model:"
            f" {', '.join(self.models)}"
        )
        raise Problem(400, "ambiguous-model", detail)

    def not_found(self, path: str) -> Problem:
        """The refusal of a path that is none, by what of it is unknown."""
        for prefix in ("/models/", "/v2/models/"):
            if path.startswith(prefix):
                name, _, rest = path.removeprefix(prefix).partition("/")
                self.require(name)
                kind, _, rest = rest.partition("/")
                if kind == "versions":
                    self.require_version(name, rest.partition("/")[0])
        detail = "/docs lists the addresses of this server"
        return Problem(404, "unknown-route", detail)

    def require_version(self, name: str, version: str) -> None:
        """Refuse a version that the plan of the model `name` does not serve."""
        served = [arm.version for arm in self.require(name).answering]
        if version not in served:
            detail = f"the versions of {name} here are {', '.join(served)}"
            raise Problem(404, "unknown-version", detail)

    def require(self, name: str) -> ServedModel:
        """The model `name`, or a refusal that lists those that there are."""
        model = self.models.get(name)
        if model is not None:
            return model
        if name in self.retired:
            raise Problem(404, "unknown-model", f"model {name} is retired")
        if name in self.missing:
            raise self.no_plan(f"model {name} has no version loaded")
        if not self.models:
            raise self.no_plan("no model has a version loaded")
        detail = f"the models here are {', '.join(self.models)}"
        raise Problem(404, "unknown-model", detail)

    @staticmethod
    def no_plan(detail: str) -> Problem:
        """The refusal of a request that comes before the first plan."""
        return Problem(503, "no-plan", detail, headers=[(b"retry-after", b"5")])

    def _series(self, route: str) -> Series:
        return self._metrics.series(route)

    def _static_routes(self) -> dict[str, Route]:
        handlers: dict[str, tuple[str, Handler]] = {
            "/models": ("models", self._list_models),
            "/ping": ("ping", self._ready),
            "/health": ("health", self._ready),
            "/version": ("version", lambda _: _VERSION),
            "/v2": ("v2", lambda _: json_response(v2.server_metadata())),
            "/v2/health/live": ("live", lambda _: json_response({"live": True})),
            "/v2/health/ready": ("ready", self._ready),
            "/openapi.json": ("openapi", self._openapi),
            "/docs": ("docs", self._docs),
        }
        return {
            path: Route("GET", handler, self._series(name))
            for path, (name, handler) in handlers.items()
        }

    def _list_models(self, _: Request) -> Response:
        return json_response({"models": [describe(m) for m in self.models.values()]})

    def _ready(self, _: Request) -> Response:
        return json_response({"ready": self.is_ready}, 200 if self.is_ready else 503)

    def _feedback(self, request: Request) -> Response:
        payload = feedback.parse(request)
        name = feedback.model_named(payload)
        caller = request.caller
        if caller is not None and not caller.may("feedback", name):
            raise forbidden()
        model = self.require(name)
        if self._logs is None:
            raise self.no_plan("this server keeps no labels")
        log = self._logs.log_of(model.name)
        response = feedback.keep(model, payload, log, caller)
        labels = self._metrics.labels
        labels[model.name] = labels.get(model.name, 0) + response.rows
        return response

    def _prediction(self, request: Request) -> Response:
        logs = self._logs
        if logs is None:
            raise Problem(404, "unknown-prediction", "this server keeps no predictions")
        id_ = request.path.removeprefix(PREDICTIONS)
        return lookup.find(logs, self.models, id_, request.caller)

    def _openapi(self, request: Request) -> Response:
        needs_key = request.caller is not None
        return self._document(
            f"openapi {needs_key=}",
            lambda: json_response(openapi.document(self.models, needs_key)),
        )

    def _docs(self, _: Request) -> Response:
        return self._document("docs", lambda: docs_page.page(self.models))

    def _document(self, name: str, build: Callable[[], Response]) -> Response:
        if name not in self._documents:
            self._documents[name] = build()
        return self._documents[name]


def _unreachable(_: Request) -> Response:
    raise AssertionError("/invocations is answered by the route of a model")
