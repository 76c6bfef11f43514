"""What one address does, and the addresses of one model."""

from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from ml_assets.core.api_key import SMOKE_HEADER
from ml_assets.serving.library import whole
from ml_assets.serving.library.answering import PROTOCOLS
from ml_assets.serving.metrics.collector import Metrics, Series
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.router import SMOKE, ArmSeries, ServedModel
from ml_assets.serving.openapi.description import describe
from ml_assets.serving.protocols import open_inference as v2
from ml_assets.serving.requests.messages import (
    ARROW,
    CSV,
    JSON,
    Handler,
    Request,
    Response,
    json_response,
)

_MARK = (SMOKE_HEADER.encode(), b"1")
MLFLOW_MEDIA = (JSON, CSV)
_PREDICT_MEDIA = (JSON, ARROW)
# Triton's client declares no content type, and is understood; tensors are bytes.
_INFER_MEDIA = (JSON, b"", b"application/octet-stream")


class Route(Struct, frozen=True, gc=False):
    """What one address does; POST takes a body of one of the media types `accepts`.

    ``model`` answers predictions and ``arms`` counts them; ``uses_files`` is set where
    the disk is waited for. An empty media type is JSON that is not declared. Beside the
    event loop ``long_handler`` answers, where there is one; a body of at most
    ``inline_bytes`` may be answered on it.
    """

    method: str
    handler: Handler
    series: Series
    model: ServedModel | None = None
    arms: ArmSeries | None = None
    uses_files: bool = False
    accepts: tuple[bytes, ...] = (JSON,)
    long_handler: Handler | None = None
    inline_bytes: int = 0


def model_routes(metrics: Metrics, model: ServedModel) -> dict[str, Route]:
    """The routes of a model by path, less that of ``/invocations``."""
    name = model.name
    get = partial(_get, metrics, model)
    routes = {
        f"/models/{name}": get("model", describe(model)),
        f"/v2/models/{name}": get("v2-model", v2.model_metadata(model)),
        f"/v2/models/{name}/ready": get(
            "v2-model-ready", {"name": name, "ready": True}
        ),
    }
    for arm in model.answering:
        path = f"/v2/models/{name}/versions/{arm.version}"
        ready = {"name": name, "version": arm.version, "ready": True}
        routes[path] = get("v2-version", v2.model_metadata(model, arm), arm)
        routes[f"{path}/ready"] = get("v2-version-ready", ready, arm)
    return routes | _predictions(metrics, model)


def _predictions(
    metrics: Metrics, model: ServedModel, counted: str = ""
) -> dict[str, Route]:
    """The routes that predict; all count as the route `counted` if it is given."""
    name = model.name
    series = ArmSeries(metrics, counted or "infer", model)
    infer = partial(_prediction, model, series, "open-inference", _INFER_MEDIA)
    return {
        f"/models/{name}/predict": _prediction(
            *(model, ArmSeries(metrics, counted or "predict", model)),
            *("native", _PREDICT_MEDIA),
        ),
        f"/v2/models/{name}/infer": infer(),
        **{
            f"/v2/models/{name}/versions/{arm.version}/infer": infer(arm)
            for arm in model.answering
        },
    }


def invocations_route(
    metrics: Metrics, model: ServedModel, counted: str = "invocations"
) -> Route:
    """The route of ``/invocations`` where a request names this model."""
    series = ArmSeries(metrics, counted, model)
    return _prediction(model, series, "mlflow", MLFLOW_MEDIA)


def smoke_route(metrics: Metrics, model: ServedModel, path: str) -> Route:
    """The route of a smoke request to a path that predicts.

    It answers as the path does. Nothing of it is logged, no shadow sees it, it counts
    apart, and the answer has the mark.
    """
    unlogged = model.unlogged()
    routes = _predictions(metrics, unlogged, SMOKE)
    routes["/invocations"] = invocations_route(metrics, unlogged, SMOKE)
    route = routes[path]
    handler, long = route.handler, route.long_handler
    return replace(route, handler=_marked(handler), long_handler=long and _marked(long))


def _marked(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        response = handler(request)
        return replace(response, headers=(*response.headers, _MARK))

    return answer


def _get(
    metrics: Metrics,
    model: ServedModel,
    route: str,
    value: object,
    arm: ServedArm | None = None,
) -> Route:
    response = json_response(value)
    counted = arm or model.live
    series = metrics.series(route, model.name, counted.version, counted.mode)
    return Route("GET", lambda _: response, series)


def _prediction(
    model: ServedModel,
    series: ArmSeries,
    protocol: str,
    accepts: tuple[bytes, ...],
    only: ServedArm | None = None,
) -> Route:
    """The route of predictions, by one version if `only` is given."""
    answer = PROTOCOLS[protocol]
    if only is not None:
        answer = partial(answer, only=only)
    handler = partial(answer, model, series)
    return Route(
        "POST",
        handler,
        series.live if only is None else series.of(only),
        model,
        series,
        accepts=accepts,
        long_handler=whole.handler(protocol, handler, model, series),
        inline_bytes=model.inline_bytes,
    )
