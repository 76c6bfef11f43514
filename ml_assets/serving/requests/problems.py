"""The problem details of a refused request (RFC 9457)."""

from collections.abc import Mapping, Sequence

import msgspec

TITLES = {
    "malformed-json": "The body is not the JSON that was expected",
    "malformed-arrow": "The body is not the Arrow stream that was expected",
    "malformed-csv": "The body is not the CSV that was expected",
    "invalid-request": "The request does not fit the model",
    "body-too-large": "The body is too large",
    "malformed-encoding": "The body is not compressed as it says",
    "too-many-rows": "The request has too many rows",
    "unsupported-media-type": "The content type is not supported",
    "unknown-route": "There is nothing at this address",
    "unknown-model": "There is no such model",
    "unknown-version": "The model has no such version here",
    "unknown-prediction": "There is no such prediction",
    "unknown-caller": "The caller is not known",
    "forbidden": "The caller may not do this",
    "too-many-requests": "The caller asks too often",
    "ambiguous-model": "The request must name a model",
    "method-not-allowed": "The method is not allowed here",
    "no-plan": "No version is loaded",
    "overloaded": "The server is overloaded",
    "version-failed": "The version failed",
    "late-answer": "The answer took too long",
    "slow-request": "The request did not arrive in time",
    "malformed-request": "The request is not HTTP",
    "headers-too-large": "The request's headers are too large",
    "internal-error": "The server failed",
}

# The header of a refusal that need not be the last word.
RETRY = [(b"retry-after", b"1")]


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. It describes what was found and never repeats it."""

    row: int | None = None
    column: str | None = None
    expected: str
    found: str

    def __str__(self) -> str:
        row = None if self.row is None else f"row {self.row}"
        column = None if self.column is None else f"column {self.column!r}"
        location = ", ".join(part for part in (row, column) if part)
        text = f"expected {self.expected}, found {self.found}"
        return f"{location}: {text}" if location else text


class Problem(Exception):
    """A refusal: `slug` names its kind, `errors` what is wrong where."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = list(errors)
        self.headers = list(headers)

    def body(self, request_id: str, members: Mapping[str, str] | None = None) -> bytes:
        """The problem as ``application/problem+json``, with further `members`."""
        value: dict[str, object] = {
            "type": f"urn:ml-assets:problem:{self.slug}",
            "title": TITLES[self.slug],
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **(members or {}),
        }
        if self.errors:
            value["errors"] = self.errors
        return msgspec.json.encode(value)


class Overloaded(Problem):
    """A refusal that is nobody's fault: too much is asked at once."""


class VersionFault(Problem):
    """A refusal that is the fault of the version, and counts as its failure."""


def invalid(errors: Sequence[FieldError]) -> Problem:
    """The refusal of a request whose rows do not fit the signature."""
    more = len(errors) - 1
    suffix = f" (and {more} more)" if more else ""
    return Problem(422, "invalid-request", f"{errors[0]}{suffix}", errors)


def forbidden() -> Problem:
    """The refusal of a caller whose key does not name what it asks."""
    detail = "the key of this caller does not allow this route or this model"
    return Problem(403, "forbidden", detail)


def overloaded(detail: str) -> Overloaded:
    """The refusal of a request that would have to wait too long."""
    return Overloaded(503, "overloaded", detail, headers=RETRY)


def late(detail: str) -> Problem:
    """The refusal of a request that has no answer in time."""
    return Problem(504, "late-answer", detail)
