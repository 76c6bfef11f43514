"""What one address does, and the addresses of one model."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ml_assets.serving.metrics.collector import Metrics, Series
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.openapi.description import describe
from ml_assets.serving.protocols import mlflow as mlflow_protocol
from ml_assets.serving.protocols import native
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

Answer = Callable[[ServedModel, ArmSeries, Request], Response]
MLFLOW_MEDIA = (JSON, CSV)
_PREDICT_MEDIA = (JSON, ARROW)
# Triton's client declares no content type, and is understood; tensors are bytes.
_INFER_MEDIA = (JSON, b"", b"application/octet-stream")


class Route(NamedTuple):
    """What one address does; POST takes a body of one of the media types `accepts`.

    ``model`` answers predictions and ``arms`` counts them; ``uses_files`` is set where
    the disk is waited for. An empty media type is JSON that is not declared.
    """

    method: str
    handler: Handler
    series: Series
    model: ServedModel | None = None
    arms: ArmSeries | None = None
    uses_files: bool = False
    accepts: tuple[bytes, ...] = (JSON,)


def model_routes(metrics: Metrics, model: ServedModel) -> dict[str, Route]:
    """The routes of a model by path, less that of ``/invocations``."""
    name = model.name
    get = partial(_get, metrics, model)
    series = ArmSeries(metrics, "infer", model)
    infer = partial(v2.infer, model, series)
    routes = {
        f"/models/{name}": get("model", describe(model)),
        f"/models/{name}/predict": _post(
            metrics, "predict", model, native.predict, _PREDICT_MEDIA
        ),
        f"/v2/models/{name}": get("v2-model", v2.model_metadata(model)),
        f"/v2/models/{name}/ready": get(
            "v2-model-ready", {"name": name, "ready": True}
        ),
        f"/v2/models/{name}/infer": Route(
            "POST", infer, series.live, model, series, accepts=_INFER_MEDIA
        ),
    }
    for arm in model.answering:
        path = f"/v2/models/{name}/versions/{arm.version}"
        ready = {"name": name, "version": arm.version, "ready": True}
        routes[path] = get("v2-version", v2.model_metadata(model, arm), arm)
        routes[f"{path}/ready"] = get("v2-version-ready", ready, arm)
        routes[f"{path}/infer"] = Route(
            "POST",
            partial(infer, only=arm),
            series.of(arm),
            model,
            series,
            accepts=_INFER_MEDIA,
        )
    return routes


def invocations_route(metrics: Metrics, model: ServedModel) -> Route:
    """The route of ``/invocations`` where a request names this model."""
    return _post(metrics, "invocations", model, mlflow_protocol.invoke, MLFLOW_MEDIA)


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


def _post(
    metrics: Metrics,
    route: str,
    model: ServedModel,
    answer: Answer,
    accepts: tuple[bytes, ...] = (JSON,),
) -> Route:
    series = ArmSeries(metrics, route, model)
    handler = partial(answer, model, series)
    return Route("POST", handler, series.live, model, arms=series, accepts=accepts)
