"""Answers to requests that are refused, or that our own fault broke."""

from ml_assets.serving.access.callers import Caller
from ml_assets.serving.http.routes import Route
from ml_assets.serving.logs import logger
from ml_assets.serving.metrics.collector import Series
from ml_assets.serving.models.router import ArmError
from ml_assets.serving.protocols.error_members import error_members
from ml_assets.serving.requests.messages import Response
from ml_assets.serving.requests.problems import Problem, VersionFault

_PROBLEM = b"application/problem+json"


def refusal(problem: Problem, request_id: str, path: str) -> Response:
    """The answer to a request to `path` that is refused."""
    return Response(
        problem.body(request_id, error_members(path, problem)),
        problem.status,
        _PROBLEM,
        headers=tuple(problem.headers),
    )


def failure(
    error: Exception,
    request_id: str,
    route: Route,
    series: Series,
    caller: Caller | None,
    path: str,
) -> tuple[Response, Series]:
    """The answer to a request that our own fault broke, and the arm's series."""
    fields = {"http.request.id": request_id}
    if caller is not None:
        fields["user.id"] = caller.id
    extra = {"fields": fields}
    logger.error("a request failed", exc_info=error.__cause__ or error, extra=extra)
    if isinstance(error, ArmError) and route.arms:
        series = route.arms.of(error.arm)
    if isinstance(error.__cause__, VersionFault):
        return refusal(error.__cause__, request_id, path), series
    detail = "the request could not be answered; the log has the reason"
    problem = Problem(500, "internal-error", detail)
    return refusal(problem, request_id, path), series
