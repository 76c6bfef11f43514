"""The model server as a bare ASGI application."""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs

from msgspec.structs import replace

from ml_assets.serving.access.callers import Caller
from ml_assets.serving.http.admission import OPEN, Admission, model_in, right_of
from ml_assets.serving.http.body import (
    SMALL_BYTES,
    BodyReader,
    ClientGone,
    Receive,
    Reservation,
)
from ml_assets.serving.http.cross_origin import PREFLIGHT, CrossOrigin
from ml_assets.serving.http.executors import Executor, ModelExecutors
from ml_assets.serving.http.header_cache import RequestHead
from ml_assets.serving.http.held_answers import Answer, HeldAnswers, count
from ml_assets.serving.http.refusals import failure, refusal
from ml_assets.serving.http.request_head import Headers, media_type, read_headers
from ml_assets.serving.http.routes import Route, smoke_route
from ml_assets.serving.http.served_state import PREDICTIONS, ServedState
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.router import LongAnswer, ServedModel
from ml_assets.serving.requests.messages import JSON, PLAIN, Request, Response
from ml_assets.serving.requests.problems import Problem, forbidden, overloaded
from ml_assets.serving.settings import ServerSettings, origins_of

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]

_CLOSE = (b"connection", b"close")


class ModelServer:
    """Answers requests from `state`, which may be swapped at any time."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, ids: PredictionIds
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.state = ServedState({}, frozenset(), False, metrics)
        self.is_draining = False
        # None: whoever reaches the server is answered.
        self.admission: Admission | None = None
        self._ids = ids
        self.held = HeldAnswers()
        self.bodies = BodyReader(settings.max_body_bytes)
        self._fast_bytes = min(SMALL_BYTES, settings.max_body_bytes)
        self._unknown = metrics.series("unknown")
        self._pages = CrossOrigin(origins_of(settings.cors_origins))
        preflight = metrics.series("preflight")
        self._preflight = Route("OPTIONS", lambda _: PREFLIGHT, preflight)
        # A line for each model: slow answers wait in it, and all others pass by them.
        # One process is left for others, where there are several.
        threads = max(1, settings.library_processes - 1)
        self._slow = ModelExecutors(
            settings.max_queue, threads, settings.answer_seconds
        )
        self._files = Executor("files", settings.max_queue)
        metrics.queues = {"slow": self._slow.waiting, "files": self._files.waiting}
        metrics.model_queues = self._slow.waiting_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        metrics = self.metrics
        path = scope["path"]
        headers = read_headers(scope["headers"])
        request_id = headers.request_id or self._ids.one()
        series = self._unknown
        caller = None
        reservation = self.bodies.reservation()
        metrics.in_flight += 1
        try:
            if metrics.in_flight > self.settings.max_in_flight:
                raise overloaded("too many requests are in flight")
            is_preflight = self._pages.is_preflight(scope["method"], headers.origin)
            is_open = is_preflight or path in OPEN
            if self.admission is not None and not is_open:
                caller = self.admission.admit(
                    headers.credential, right_of(path), model_in(path), started
                )
            if is_preflight:
                route = self._preflight
            else:
                route = self._route(scope, headers, caller)
            if headers.is_smoke and (model := route.model) is not None:
                # Anybody else could hide its predictions from the log.
                if caller is None or caller.may("smoke", model.name):
                    route = smoke_route(metrics, model, path)
            series = route.series
            request = Request(
                *(request_id, b"", started, headers.entity, path, caller),
                headers.form,
                made_id=headers.request_id is None,
            )
            response = await self._answer(
                route, scope, headers, request, receive, reservation
            )
            series = response.series or series
        except Problem as problem:
            response = refusal(problem, request_id, path)
            # Else it, its future and their frames keep each other, and the body.
            problem.with_traceback(None)
        except ClientGone:
            reservation.release()
            return
        except Exception as error:
            response, series = failure(error, request_id, route, series, caller, path)
            error.with_traceback(None)
        finally:
            metrics.in_flight -= 1
        count(response, series, perf_counter() - started, caller)
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status,
                    "headers": self._headers(response, request_id, headers.origin),
                }
            )
            await send({"type": "http.response.body", "body": response.body})
        finally:
            reservation.release()

    def fast_route(self, address: bytes, headers: Headers) -> Route | None:
        """The route of a prediction that can be answered as soon as it is read.

        That takes a model whose answers take microseconds, and a body of known, small
        length that is not compressed; None for all other requests.
        """
        if headers.form is not PLAIN or headers.encoding or headers.is_smoke:
            return None
        if not 0 < headers.length <= self._fast_bytes:
            return None
        route = self.state.fast_routes.get(address)
        return route if route and headers.length <= route.inline_bytes else None

    def answer_at_once(
        self, route: Route, head: RequestHead, body: bytes, started: float
    ) -> Answer | None:
        """Answer a prediction without waiting for anything.

        The same as calling the application, less what that costs: a task, an event and
        three messages a request, as much as the prediction itself. None, and nothing
        was done, if the answer would take so long that the application must give it.
        Its records are held, and the answer is to be.
        """
        headers = head.headers
        id_ = headers.request_id or self._ids.one()
        series = route.series
        caller = None
        try:
            if self.metrics.in_flight >= self.settings.max_in_flight:
                raise overloaded("too many requests are in flight")
            if self.admission is not None:
                model = route.model.name if route.model else None
                caller = self.admission.admit_again(
                    head.verdict, headers.credential, model, started
                )
            media = headers.content_type
            if media != JSON:
                media = media_type(media, route.accepts)
            entity, held = headers.entity, self.held.records
            made = headers.request_id is None
            request = Request(
                id_, body, started, entity, "", caller, PLAIN, media, True, held, made
            )
            response = route.handler(request)
            series = response.series or series
        except LongAnswer:
            # The application asks once more whether the caller may.
            if caller is not None and caller.bucket is not None:
                caller.bucket.give_back()
            return None
        except Problem as problem:
            response = refusal(problem, id_, head.address.decode("latin-1"))
        except Exception as error:
            path = head.address.decode("latin-1")
            response, series = failure(error, id_, route, series, caller, path)
        if self._pages.is_asked:
            added = self._pages.headers(headers.origin)
            response = replace(response, headers=response.headers + added)
        return Answer(response, id_, series, caller, started)

    def refuse(self, problem: Problem, headers: Headers, path: str) -> Response:
        """The answer to what never became a request, which is counted.

        Its headers have the request's id.
        """
        request_id = headers.request_id or self._ids.one()
        response = refusal(problem, request_id, path)
        self._unknown.observe(response.status, 0.0, 0)
        added = (b"x-request-id", request_id.encode())
        return replace(response, headers=(*response.headers, added))

    def close(self) -> None:
        """Stop the threads."""
        self._slow.close()
        self.bodies.close()
        self._files.close()

    def _route(self, scope: Scope, headers: Headers, caller: Caller | None) -> Route:
        state = self.state
        if self.admission is not None and caller is not None:
            state = self.admission.view(state, caller)
        path, method = scope["path"], scope["method"]
        route = state.routes.get(path)
        if route is None:
            if not path.startswith(PREDICTIONS):
                raise state.not_found(path)
            route = state.prediction
        if method != route.method and not (method == "HEAD" and route.method == "GET"):
            allow = b"POST" if route.method == "POST" else b"GET, HEAD"
            detail = f"expected {allow.decode()}"
            raise Problem(
                405, "method-not-allowed", detail, headers=[(b"allow", allow)]
            )
        if path == "/invocations":
            media_type(headers.content_type, route.accepts)
            named = _named_model(scope, headers)
            if caller is not None and named and not caller.may("predict", named):
                raise forbidden()
            route = state.invocations(named)
            model = route.model
            if caller is not None and model and not caller.may("predict", model.name):
                raise forbidden()
        return route

    async def _answer(
        self,
        route: Route,
        scope: Scope,
        headers: Headers,
        request: Request,
        receive: Receive,
        reservation: Reservation,
    ) -> Response:
        model = route.model
        plain = headers.form is PLAIN
        if route.method == "POST":
            media = media_type(headers.content_type, route.accepts)
            is_short = model and plain and _is_short(headers.length, model)
            if model and not is_short and headers.length <= self.bodies.max_bytes:
                # Before its body is read, which nobody would look at.
                self._slow.of(model.name).require_room()
            body = await self.bodies.read(
                receive, headers.length, headers.encoding, reservation
            )
            request = replace(request, body=body, media=media)
        if model is not None:
            if plain and _is_short(len(request.body), model):
                with contextlib.suppress(LongAnswer):
                    return route.handler(replace(request, on_loop=True))
            handler = route.long_handler or route.handler
            return await self._slow.of(model.name).run(handler, request, reservation)
        if route.uses_files:
            return await self._files.run(route.handler, request, reservation)
        return route.handler(request)

    def _headers(
        self, response: Response, request_id: str, origin: bytes | None
    ) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            (b"x-request-id", request_id.encode()),
        ]
        headers += response.headers
        headers += self._pages.headers(origin)
        if self.is_draining:
            headers.append(_CLOSE)
        return headers


def _is_short(size: int, model: ServedModel) -> bool:
    """Whether the answer to a body of so many bytes may be one for the event loop."""
    return size <= min(SMALL_BYTES, model.inline_bytes)


def _named_model(scope: Scope, headers: Headers) -> str | None:
    query: bytes = scope["query_string"]
    if query:
        values = parse_qs(query.decode("latin-1")).get("model")
        if values:
            return values[-1]
    return headers.model
