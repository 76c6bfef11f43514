"""What clients of a protocol read in a refusal, beside the problem's own members."""

from ml_assets.serving.requests.problems import Problem

MLFLOW_PATHS = frozenset(("/invocations", "/ping", "/health", "/version"))
# As MLflow names its errors; what is not here is the request's fault.
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def error_members(path: str, problem: Problem) -> dict[str, str]:
    """The members that a client of the protocol at this path looks for.

    Examples
    --------
    >>> error_members("/v2/models/a/infer", Problem(400, "malformed-json", "empty"))
    {'error': 'empty'}
    >>> error_members("/invocations", Problem(400, "malformed-json", "empty"))
    {'error_code': 'BAD_REQUEST', 'message': 'empty'}
    >>> error_members("/models", Problem(400, "malformed-json", "empty"))
    {}
    """
    if path == "/v2" or path.startswith("/v2/"):
        return {"error": problem.detail}
    if path in MLFLOW_PATHS:
        code = _MLFLOW_CODES.get(problem.status, "BAD_REQUEST")
        return {"error_code": code, "message": problem.detail}
    return {}
